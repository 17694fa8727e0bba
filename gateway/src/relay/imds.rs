//! The node's own metadata service.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode, header::CONTENT_TYPE};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    Document, Observer, RelayError,
    document::ContentType,
    session::{Pass, Session},
    transport::{BODY_MAX, Endpoint, Reply, Transport, TransportError},
    upstream::{Read, Upstream},
};
use crate::catalogue::Entry;

/// For a whole read: the permit, the connection, the token, the answer. IMDS answers in milliseconds or not at all.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// The part of that for the permit. A permit that comes at the last moment would only open a connection to drop it,
/// once for each read that waits.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Concurrent reads. IMDS caps connections and shares 1024 packets per second with DNS and NTP (EC2 User Guide, "Query
/// throttling"), and a stuck IMDS must not hold much here.
const READS_AT_ONCE: usize = 8;

/// Speaks IMDSv2 with a token of its own, and v1 only to an upstream that has no tokens. It sends `GET` of catalogue
/// paths and `PUT` of the token, and never a byte or header from a client.
pub struct HttpUpstream {
    transport: Transport,
    session: Session,
    permits: Semaphore,
}

impl HttpUpstream {
    pub fn new(endpoint: Endpoint, observer: Arc<dyn Observer>) -> Self {
        Self {
            transport: Transport::new(endpoint, observer),
            session: Session::default(),
            permits: Semaphore::new(READS_AT_ONCE),
        }
    }

    async fn read_with_permit(&self, entry: &Entry) -> Result<Document, RelayError> {
        let read = async {
            // The semaphore is never closed, so that `acquire` always yields a permit.
            let permit = timeout(PERMIT_TIMEOUT, self.permits.acquire()).await;
            let busy = |_| TransportError::Unavailable(format!("{READS_AT_ONCE} other reads are still in progress"));
            let _permit = permit.map_err(busy)?;
            self.read_with_token(entry).await
        };
        let late = || TransportError::Unavailable(format!("no answer within {READ_TIMEOUT:?}"));
        let reply = timeout(READ_TIMEOUT, read).await.unwrap_or_else(|_| Err(late()));
        judge(entry, reply)
    }

    /// A 401 means that the token is not known any more (IMDS restarted, the clock jumped): retries once with a new
    /// one.
    async fn read_with_token(&self, entry: &Entry) -> Result<Reply, TransportError> {
        let pass = self.session.pass(&self.transport).await?;
        let reply = self.get(entry, &pass).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        self.session.forget(&pass).await;
        let pass = self.session.pass(&self.transport).await?;
        self.get(entry, &pass).await
    }

    async fn get(&self, entry: &Entry, pass: &Pass) -> Result<Reply, TransportError> {
        self.transport.send(Method::GET, entry.path(), pass.header()).await
    }
}

impl Upstream for HttpUpstream {
    fn read<'a>(&'a self, entry: &'a Entry) -> Read<'a> {
        Box::pin(self.read_with_permit(entry))
    }
}

fn judge(entry: &Entry, reply: Result<Reply, TransportError>) -> Result<Document, RelayError> {
    let path = || entry.path().to_owned();
    match reply {
        Ok(reply) if reply.status == StatusCode::OK => {
            let content_type = ContentType::of(reply.headers.get(CONTENT_TYPE).map(|value| value.as_bytes()));
            Ok(Document { body: reply.body, content_type })
        }
        Ok(reply) if reply.status == StatusCode::NOT_FOUND => Err(RelayError::NotFound { path: path() }),
        Ok(reply) => {
            let detail = format!("answered with status {}", reply.status.as_u16());
            Err(RelayError::Unavailable { path: path(), detail })
        }
        Err(TransportError::TooLarge) => Err(RelayError::TooLarge { path: path(), limit: BODY_MAX }),
        Err(TransportError::Unavailable(detail)) => Err(RelayError::Unavailable { path: path(), detail }),
    }
}
