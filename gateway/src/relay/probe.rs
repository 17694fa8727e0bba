//! Probes the node's metadata service once, without cache and retries.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use tokio::time::timeout;

use super::{
    session::{Pass, mint_request, minted},
    transport::{Endpoint, Transport, TransportError},
};
use crate::catalogue::Entry;

/// Longer than the connect timeout, so that this one means a late answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The service's answer to a read of the instance's id.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The status with which the service refused a session token; the read was then sent without one, as the gateway
    /// does.
    pub token_refused: Option<u16>,
    pub status: u16,
    pub body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The service accepts the request, but its answer does not arrive.
    #[error("accepts a request for a session token but does not answer within {TIMEOUT:?}")]
    TokenLate,
    #[error("gives a session token but does not answer a read within {TIMEOUT:?}")]
    ReadLate,
    #[error("{0}")]
    Unavailable(String),
}

pub async fn probe(endpoint: Endpoint) -> Result<Probe, ProbeError> {
    let transport = Transport::new(endpoint, Arc::new(()));
    let (method, path, header) = mint_request();
    let asked = transport.send(method, path, Some(header));
    let reply = timeout(TIMEOUT, asked).await.map_err(|_| ProbeError::TokenLate)?.map_err(words)?;
    let token = minted(&reply).map_err(words)?;
    let token_refused = token.is_none().then(|| reply.status.as_u16());
    let pass = token.map_or_else(Pass::default, Pass::with);
    let entry = Entry::instance_id();
    let read = transport.send(Method::GET, entry.path(), pass.header());
    let reply = timeout(TIMEOUT, read).await.map_err(|_| ProbeError::ReadLate)?.map_err(words)?;
    Ok(Probe { token_refused, status: reply.status.as_u16(), body: reply.body })
}

fn words(fault: TransportError) -> ProbeError {
    ProbeError::Unavailable(match fault {
        TransportError::TooLarge => "answered with more than IMDS ever does".to_owned(),
        TransportError::Unavailable(detail) => detail,
    })
}
