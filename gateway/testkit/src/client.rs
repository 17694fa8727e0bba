//! An HTTP/1 client that sends exactly the given bytes and hides nothing of the answer.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Ends a test that waits for something that never comes.
const DEADLINE: Duration = Duration::from_secs(60);
/// No answer of ours is nearly as large.
const REPLY_MAX: usize = 16 << 20;

/// One connection.
pub struct Client<S = TcpStream> {
    stream: S,
    received: Vec<u8>,
}

/// One answer as received.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status_line: String,
    pub status: u16,
    /// In the order sent, names in the case sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    /// Connects from `from`, because pods on one loopback are told apart by their addresses.
    pub async fn connect(from: impl Into<IpAddr>, to: SocketAddr) -> io::Result<Self> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(from.into(), 0))?;
        Ok(Self::over(socket.connect(to).await?))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, received: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within(self.stream.write_all(bytes.as_ref())).await
    }

    /// The next answer. Its body is as long as its `Content-Length` says, and empty without one. Dropping the future
    /// loses nothing.
    pub async fn receive(&mut self) -> io::Result<Reply> {
        within(self.read_reply(true)).await
    }

    /// The next answer to a HEAD request.
    pub async fn receive_head(&mut self) -> io::Result<Reply> {
        within(self.read_reply(false)).await
    }

    /// Sends a whole request and returns its answer.
    pub async fn ask(&mut self, request: impl AsRef<[u8]>) -> io::Result<Reply> {
        self.send(request).await?;
        self.receive().await
    }

    /// All bytes until the other side closes; a reset is a close too.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        while within(self.read_more()).await? {}
        Ok(std::mem::take(&mut self.received))
    }

    async fn read_reply(&mut self, has_body: bool) -> io::Result<Reply> {
        let head_end = loop {
            match self.received.windows(4).position(|end| end == b"\r\n\r\n") {
                Some(at) => break at,
                None => self.read_some().await?,
            }
        };
        let mut reply = Reply::of_head(self.received.get(..head_end).unwrap_or_default())?;
        let declared = reply.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let length: usize = if has_body { declared } else { 0 };
        let end = head_end + 4 + length;
        while self.received.len() < end {
            self.read_some().await?;
        }
        reply.body = self.received.drain(..end).skip(head_end + 4).collect();
        Ok(reply)
    }

    async fn read_some(&mut self) -> io::Result<()> {
        if self.read_more().await? { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    /// False once the other side has closed.
    async fn read_more(&mut self) -> io::Result<bool> {
        if self.received.len() > REPLY_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        match self.stream.read_buf(&mut self.received).await {
            Ok(length) => Ok(length > 0),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Reply {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn of_head(head: &[u8]) -> io::Result<Self> {
        let malformed = || io::Error::new(ErrorKind::InvalidData, String::from_utf8_lossy(head).into_owned());
        let text = str::from_utf8(head).map_err(|_| malformed())?;
        let mut lines = text.split("\r\n");
        let status_line = lines.next().ok_or_else(malformed)?.to_owned();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
        let header = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.to_owned()))
        };
        let headers = lines.map(header).collect::<Option<_>>().ok_or_else(malformed)?;
        Ok(Self { status_line, status, headers, body: Vec::new() })
    }
}

async fn within<T>(io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(DEADLINE, io).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}
