//! Sample credentials for a machine without AWS. No service accepts them, and their text names their origin.

use crate::{
    clock::Clock,
    credential::{Credential, Fetch, Secret, Source},
    credential_key::CredentialKey,
};

pub struct SandboxSource {
    clock: Clock,
}

impl SandboxSource {
    pub fn new(clock: Clock) -> Self {
        Self { clock }
    }

    fn issue(&self, key: &CredentialKey) -> Credential {
        let now = self.clock.now();
        // Shapes that SDKs and log scrubbers know: a temporary key's id is ASIA and 16 characters, its secret has 40.
        let id = format!("ASIA{}", base32(16));
        let secret = Secret::new(format!("metagate/sandbox/{}", base32(23)));
        let token = Secret::new(format!("metagate-sandbox-{}", base32(64)));
        Credential::new(id, secret, token, now, now + key.role().duration)
    }
}

impl Source for SandboxSource {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        Box::pin(std::future::ready(Ok(self.issue(key))))
    }
}

/// Random characters of RFC 4648's alphabet.
fn base32(length: usize) -> String {
    let digit = || match rand::random_range(0..32u8) {
        letter @ 0..26 => char::from(b'A' + letter),
        number => char::from(b'2' + number - 26),
    };
    std::iter::repeat_with(digit).take(length).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::source::sts::fake::key;

    #[tokio::test(start_paused = true)]
    async fn samples_look_like_temporary_credentials_and_differ_and_name_their_origin() {
        let clock = Clock::system();
        let (sandbox, key) = (SandboxSource::new(clock.clone()), key("reader"));
        let first = sandbox.fetch(&key).await.unwrap();
        let second = sandbox.fetch(&key).await.unwrap();
        let tail = first.access_key_id.strip_prefix("ASIA").unwrap();
        assert_eq!(tail.len(), 16);
        assert!(tail.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)), "{tail}");
        assert_eq!(first.secret_access_key.expose().len(), 40);
        assert!(first.session_token.expose().starts_with("metagate-sandbox-"));
        assert_ne!(first.access_key_id, second.access_key_id);
        assert_ne!(first.secret_access_key.expose(), second.secret_access_key.expose());
        assert_eq!(first.life(), key.role().duration);
        assert!(first.remaining(clock.now()) > Duration::from_secs(3590));
    }
}
