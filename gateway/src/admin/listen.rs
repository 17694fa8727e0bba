//! The admin listener's socket: loopback TCP, or a Unix socket that only this user can open.

use std::{
    fmt, fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    pin::Pin,
    task,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use crate::config::AdminListen;

/// The pause after `accept` failed, most likely for lack of file descriptors: an immediate retry would spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

pub enum AdminListener {
    Tcp(TcpListener),
    Unix(UnixListener, std::path::PathBuf),
}

impl AdminListener {
    pub async fn bind(to: &AdminListen) -> io::Result<Self> {
        match to {
            AdminListen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            AdminListen::Unix(path) => {
                // A killed process leaves its socket file behind, and bind would fail. Nothing else is removed.
                let refused =
                    UnixStream::connect(path).await.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
                if refused && fs::symlink_metadata(path)?.file_type().is_socket() {
                    fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                Ok(Self::Unix(listener, path.clone()))
            }
        }
    }

    pub(super) async fn accept(&self) -> AdminStream {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| AdminStream::Tcp(stream)),
                Self::Unix(listener, _) => listener.accept().await.map(|(stream, _)| AdminStream::Unix(stream)),
            };
            match accepted {
                Ok(stream) => return stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an admin connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }
}

/// The address, as a person would type it.
impl fmt::Display for AdminListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "http://{address}"),
                Err(error) => write!(f, "{error}"),
            },
            Self::Unix(_, path) => write!(f, "unix:{}", path.display()),
        }
    }
}

pub(super) enum AdminStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for AdminStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for AdminStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut task::Context<'_>, buf: &[u8]) -> task::Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
