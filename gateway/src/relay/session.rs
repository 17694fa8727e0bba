//! The gateway's own IMDSv2 session with the node's metadata service: one token for all reads.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::transport::{Reply, Transport, TransportError};

/// The longest life that IMDS gives a token, six hours (EC2 User Guide, "Use IMDSv2").
const TOKEN_TTL: u64 = 21_600;
/// Far above the 56 characters of an IMDS token.
const TOKEN_MAX: usize = 4096;
/// An answer that IMDS drops for its hop limit never arrives, so a token that is this late is reported as a problem of
/// the hop limit.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the old token, which is still valid, stays in use after a failed renewal.
const RENEWAL_RETRY: Duration = Duration::from_secs(60);
/// How long an upstream without a token route is read without a token. Older mocks have no such route. IMDS itself can
/// be changed to hand out tokens at any time; its 401 then ends this period early.
const TOKENLESS_FOR: Duration = Duration::from_secs(300);

const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

#[derive(Default)]
pub(super) struct Session {
    /// Locked while a token is minted, so that concurrent reads share one. Each read has a deadline of its own.
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Unknown,
    Token {
        token: Arc<HeaderValue>,
        renew_at: Instant,
        expires_at: Instant,
    },
    Tokenless {
        until: Instant,
    },
}

/// The token that a read is sent with; None if the upstream has no tokens.
#[derive(Clone, Default)]
pub(super) struct Pass(Option<Arc<HeaderValue>>);

impl Session {
    pub(super) async fn pass(&self, transport: &Transport) -> Result<Pass, TransportError> {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        match &mut *state {
            State::Token { token, renew_at, .. } if now < *renew_at => return Ok(Pass(Some(token.clone()))),
            State::Tokenless { until } if now < *until => return Ok(Pass(None)),
            State::Token { token, renew_at, expires_at } if now < *expires_at => {
                let old = Pass(Some(token.clone()));
                // Postponed first: if this read times out here, the next one must not wait as well.
                *renew_at = now + RENEWAL_RETRY;
                if let Ok(minted) = mint(transport).await {
                    *state = minted;
                }
                return Ok(state.pass().unwrap_or(old));
            }
            _ => {}
        }
        *state = State::Unknown;
        *state = mint(transport).await?;
        state.pass().ok_or_else(|| TransportError::Unavailable("gave no token".to_owned()))
    }

    /// Drops a pass that the upstream refused, unless another reader has replaced it already.
    pub(super) async fn forget(&self, refused: &Pass) {
        let mut state = self.state.lock().await;
        let is_current = match (&*state, &refused.0) {
            (State::Token { token, .. }, Some(refused)) => Arc::ptr_eq(token, refused),
            (State::Tokenless { .. }, None) => true,
            _ => false,
        };
        if is_current {
            *state = State::Unknown;
        }
    }
}

impl State {
    fn pass(&self) -> Option<Pass> {
        match self {
            Self::Unknown => None,
            Self::Token { token, .. } => Some(Pass(Some(token.clone()))),
            Self::Tokenless { .. } => Some(Pass(None)),
        }
    }
}

impl Pass {
    pub(super) fn with(token: HeaderValue) -> Self {
        Self(Some(Arc::new(token)))
    }

    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        self.0.as_ref().map(|token| (TOKEN, HeaderValue::clone(token)))
    }
}

/// Method, path and header of a token request.
pub(super) fn mint_request() -> (Method, &'static str, (HeaderName, HeaderValue)) {
    (Method::PUT, "api/token", (TTL, HeaderValue::from(TOKEN_TTL)))
}

async fn mint(transport: &Transport) -> Result<State, TransportError> {
    let asked_at = Instant::now();
    let (method, path, header) = mint_request();
    let exchange = transport.send(method, path, Some(header));
    let reply = timeout(TOKEN_TIMEOUT, exchange).await.map_err(|_| {
        TransportError::Unavailable(format!(
            "no session token within {TOKEN_TIMEOUT:?}; is the gateway on the host's network, or the instance's hop limit at least 2?"
        ))
    })??;
    let Some(token) = minted(&reply)? else { return Ok(State::Tokenless { until: asked_at + TOKENLESS_FOR }) };
    let life = life(&reply.headers);
    // Nine tenths: so early that no read finds the token expired.
    let renew_at = asked_at + life.mul_f32(0.9);
    Ok(State::Token { token: Arc::new(token), renew_at, expires_at: asked_at + life })
}

/// The token of a reply to [`mint_request`]. None if the service gives none; it is then read without.
pub(super) fn minted(reply: &Reply) -> Result<Option<HeaderValue>, TransportError> {
    match reply.status {
        StatusCode::OK => token(reply).map(Some),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(None),
        status => Err(TransportError::Unavailable(format!("answered a token request with status {}", status.as_u16()))),
    }
}

fn token(reply: &Reply) -> Result<HeaderValue, TransportError> {
    let bytes = reply.body.trim_ascii();
    let is_token = (1..=TOKEN_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    let value = is_token.then(|| HeaderValue::from_bytes(bytes).ok()).flatten();
    let mut value =
        value.ok_or_else(|| TransportError::Unavailable("answered a token request without a token".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The token's life as IMDS states it; without a statement, the requested life.
fn life(headers: &HeaderMap) -> Duration {
    let stated = headers.get(TTL).and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<u64>().ok());
    Duration::from_secs(stated.filter(|seconds| (1..=TOKEN_TTL).contains(seconds)).unwrap_or(TOKEN_TTL))
}
