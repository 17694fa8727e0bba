//! Workloads' own web identity tokens, which the gateway exchanges for credentials.

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
};

use tokio::{fs::File, io::AsyncReadExt};
use zeroize::Zeroizing;

use crate::{
    credential::{FetchError, FetchErrorKind, Secret},
    credential_key::Subject,
};

/// AWS STS API Reference, AssumeRoleWithWebIdentity, WebIdentityToken: 4 to 20000 characters.
const TOKEN_MIN: usize = 4;
const TOKEN_MAX: usize = 20_000;

/// Supplies a token for that subject and audience. The token is used at once and not stored.
pub trait TokenSupplier: Send + Sync + 'static {
    fn token<'a>(&'a self, subject: &'a Subject, audience: &'a str) -> Token<'a>;
}

pub type Token<'a> = Pin<Box<dyn Future<Output = Result<Secret, TokenError>> + Send + 'a>>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("{namespace}/{pod} has no web identity token; name its token_file in the roster")]
    Missing { namespace: String, pod: String },
    #[error("cannot read the web identity token {}: {kind}", path.display())]
    Unreadable { path: PathBuf, kind: io::ErrorKind },
    #[error("the web identity token {} is not text of 4 to 20000 characters", path.display())]
    Malformed { path: PathBuf },
    /// The issuer refuses to issue this token.
    #[error("no web identity token was issued: {detail}")]
    Refused { detail: String },
    /// The issuer cannot be reached.
    #[error("web identity tokens are not available now: {detail}")]
    Unavailable { detail: String },
}

impl From<TokenError> for FetchError {
    fn from(error: TokenError) -> Self {
        let class = match error {
            TokenError::Unavailable { .. } => FetchErrorKind::Unavailable,
            _ => FetchErrorKind::Token,
        };
        Self { class, code: None, detail: error.to_string() }
    }
}

/// Reads tokens from files, one for each workload. A file's audience was fixed when the token was projected: STS
/// refuses a wrong one.
pub struct TokenFiles<F> {
    file_of: F,
}

impl<F> TokenFiles<F>
where
    F: Fn(&Subject) -> Option<PathBuf> + Send + Sync + 'static,
{
    /// `file_of` is called at each fetch, so that it can follow the roster.
    pub fn new(file_of: F) -> Self {
        Self { file_of }
    }

    async fn read(&self, subject: &Subject) -> Result<Secret, TokenError> {
        let file = (self.file_of)(subject)
            .ok_or_else(|| TokenError::Missing { namespace: subject.namespace.clone(), pod: subject.pod.clone() })?;
        read_token(&file).await
    }
}

impl<F> TokenSupplier for TokenFiles<F>
where
    F: Fn(&Subject) -> Option<PathBuf> + Send + Sync + 'static,
{
    fn token<'a>(&'a self, subject: &'a Subject, _audience: &'a str) -> Token<'a> {
        Box::pin(self.read(subject))
    }
}

/// The token in that file, without surrounding white space.
pub(super) async fn read_token(path: &Path) -> Result<Secret, TokenError> {
    let unreadable = |error: io::Error| TokenError::Unreadable { path: path.to_owned(), kind: error.kind() };
    // Room for the longest token, a line ending, and one byte that shows that the file is longer. The buffer never
    // grows, so that no unwiped copy is left.
    let bound = TOKEN_MAX + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(bound));
    let file = File::open(path).await.map_err(unreadable)?;
    file.take(bound as u64).read_to_end(&mut bytes).await.map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
    if (TOKEN_MIN..=TOKEN_MAX).contains(&text.len()) {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err(TokenError::Malformed { path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workload::Uid;

    fn subject(uid: &str) -> Subject {
        let (namespace, service_account, pod) = ("payments".into(), "ledger".into(), "checkout-0".into());
        Subject { namespace, service_account, pod, uid: Uid::new(uid) }
    }

    async fn read(content: &[u8]) -> Result<String, TokenError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, content).unwrap();
        read_token(&file).await.map(|token| token.expose().to_owned())
    }

    #[tokio::test]
    async fn each_subject_s_own_file_is_read_at_each_fetch() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let files = TokenFiles::new(move |subject| Some(root.join(subject.uid.as_str())));
        for (uid, token) in [("a", "token-a"), ("b", "token-b"), ("a", "token-a-renewed")] {
            fs::write(folder.path().join(uid), format!("{token}\n")).unwrap();
            assert_eq!(files.token(&subject(uid), "sts.amazonaws.com").await.unwrap().expose(), token);
        }
    }

    #[tokio::test]
    async fn what_is_no_token_is_refused_with_its_reason() {
        let nothing = TokenFiles::new(|_| None);
        let error = nothing.token(&subject("a"), "sts.amazonaws.com").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "payments/checkout-0 has no web identity token; name its token_file in the roster"
        );
        let absent = read_token(Path::new("/nonexistent/token")).await.unwrap_err();
        assert!(matches!(&absent, TokenError::Unreadable { kind: io::ErrorKind::NotFound, .. }), "{absent}");
        for content in [b"".as_slice(), b"abc", b" \n\t", b"\xff\xfe\xfd\xfc\xfb", &[b'a'; 20_001], &[b'a'; 1 << 20]] {
            assert!(matches!(read(content).await, Err(TokenError::Malformed { .. })), "{} bytes", content.len());
        }
    }

    #[tokio::test]
    async fn the_longest_and_the_shortest_token_are_read_without_their_line_s_end() {
        for length in [4, 20_000] {
            let token = "t".repeat(length);
            assert_eq!(read(format!("{token}\r\n").as_bytes()).await.unwrap(), token);
        }
    }

    #[test]
    fn an_issuer_that_cannot_be_reached_is_asked_again_soon() {
        let class = |error: TokenError| FetchError::from(error).class;
        assert_eq!(class(TokenError::Unavailable { detail: "timeout".into() }), FetchErrorKind::Unavailable);
        assert_eq!(class(TokenError::Refused { detail: "pod is gone".into() }), FetchErrorKind::Token);
    }
}
