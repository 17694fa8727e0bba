//! A pod as the gateway sees it: an address of its own, and connections from it that ask as SDKs do.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpSocket, TcpStream};

const LIST: &str = "/latest/meta-data/iam/security-credentials/";
const MINT: &str = "/latest/api/token";
pub const TOKEN: &str = "x-aws-ec2-metadata-token";
pub const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// The longest life of a token, which is what SDKs ask for.
pub const TTL_SECONDS: &str = "21600";
/// What SDKs write into `Host`, whatever socket they connect to.
const HOST: &str = "169.254.169.254";

/// A pod that asks.
#[derive(Clone)]
pub struct Caller {
    from: Ipv4Addr,
    to: SocketAddr,
    /// None if the gateway gives no token; it is then asked as by IMDSv1.
    pub token: Option<String>,
    pub role: String,
    /// The GET of its credential document.
    ask: Request<Empty<Bytes>>,
}

impl Caller {
    /// Learns what the gateway gives a pod at that address, as an SDK does before its first credential.
    pub async fn introduced(from: Ipv4Addr, to: SocketAddr) -> Result<Self> {
        let mut open = Open::connect(from, to).await?;
        let minted = open.ask(&mint()?).await?;
        let token = (minted.status() == StatusCode::OK).then(|| text(&minted)).transpose()?;
        let listed = good(open.ask(&get(LIST, token.as_deref())?).await?, LIST)?;
        let role = text(&listed)?.lines().next().context("no role is listed")?.to_owned();
        let ask = get(&format!("{LIST}{role}"), token.as_deref())?;
        let caller = Self { from, to, token, role, ask };
        // The credential is cached from here on, as for a pod that was seen before it asks.
        caller.credential(&mut open).await?;
        Ok(caller)
    }

    /// A pod at another address that has not asked yet. It asks for the same role by IMDSv1.
    pub fn unmet_at(&self, from: Ipv4Addr) -> Result<Self> {
        let ask = get(&format!("{LIST}{}", self.role), None)?;
        Ok(Self { from, to: self.to, token: None, role: self.role.clone(), ask })
    }

    pub async fn connect(&self) -> Result<Open> {
        Open::connect(self.from, self.to).await
    }

    pub async fn credential(&self, open: &mut Open) -> Result<Response<Bytes>> {
        good(open.ask(&self.ask).await?, self.ask.uri().path())
    }

    /// A request whose answer may be anything.
    pub async fn whatever(&self, open: &mut Open) -> Result<()> {
        open.ask(&self.ask).await.map(drop)
    }

    /// What an SDK does when its process starts: token, role, credential.
    pub async fn session(&self, open: &mut Open) -> Result<()> {
        let token = match &self.token {
            Some(_) => Some(text(&good(open.ask(&mint()?).await?, MINT)?)?),
            None => None,
        };
        let role = text(&good(open.ask(&get(LIST, token.as_deref())?).await?, LIST)?)?;
        let path = format!("{LIST}{role}");
        good(open.ask(&get(&path, token.as_deref())?).await?, &path).map(drop)
    }
}

/// A connection. Both of hyper's halves are polled by one task: with a task for each, every request would wake one
/// worker from another, and the client would cost more than what is measured.
pub struct Open {
    sender: SendRequest<Empty<Bytes>>,
    driver: Connection<TokioIo<TcpStream>, Empty<Bytes>>,
}

impl Open {
    async fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Without this option the kernel searches for a port among all that this address has used, and ports of
        // connections that ended up to a minute ago still count (ip(7)): with 70,000 of them that took milliseconds.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind((from, 0).into()).with_context(|| format!("cannot bind to {from}"))?;
        let stream = socket.connect(to).await.with_context(|| format!("cannot reach {to} from {from}"))?;
        stream.set_nodelay(true)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver })
    }

    async fn ask(&mut self, request: &Request<Empty<Bytes>>) -> Result<Response<Bytes>> {
        let Self { sender, driver } = self;
        let answered = async {
            sender.ready().await?;
            let (head, body) = sender.send_request(request.clone()).await?.into_parts();
            Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        };
        tokio::select! {
            answered = answered => answered,
            ended = driver => bail!("the server ended the connection: {ended:?}"),
        }
    }
}

fn mint() -> Result<Request<Empty<Bytes>>> {
    as_sdks_write(Method::PUT, MINT, Some((TOKEN_TTL, TTL_SECONDS)))
}

fn get(path: &str, token: Option<&str>) -> Result<Request<Empty<Bytes>>> {
    as_sdks_write(Method::GET, path, token.map(|token| (TOKEN, token)))
}

/// A request with the usual headers of SDKs.
pub fn as_sdks_write(method: Method, path: &str, header: Option<(&str, &str)>) -> Result<Request<Empty<Bytes>>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", HOST)
        .header("accept", "*/*")
        .header("accept-encoding", "identity")
        .header("user-agent", "aws-sdk/1");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    Ok(request.body(Empty::new())?)
}

/// Any answer but 200 is an error; otherwise a fast refusal would count as a fast answer.
fn good(answer: Response<Bytes>, path: &str) -> Result<Response<Bytes>> {
    ensure!(answer.status() == StatusCode::OK, "{path} is answered {}: {:?}", answer.status(), answer.body());
    Ok(answer)
}

fn text(answer: &Response<Bytes>) -> Result<String> {
    Ok(std::str::from_utf8(answer.body()).context("not text")?.to_owned())
}
