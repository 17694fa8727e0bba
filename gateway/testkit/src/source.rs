//! A source whose credentials name their role, and which fails or hangs on demand.

use std::{
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use metagate::{
    credential::{Credential, Fetch, FetchError, FetchErrorKind, Secret, Source},
    credential_key::CredentialKey,
};
use tokio::sync::watch;

pub struct FakeSource {
    answer: watch::Sender<Answer>,
    asked: Mutex<Vec<String>>,
}

#[derive(Clone)]
enum Answer {
    Issue,
    IssueBetween { issued_at: SystemTime, expires_at: SystemTime },
    Fail(FetchError),
    Hold,
}

/// Issues credentials by default.
impl Default for FakeSource {
    fn default() -> Self {
        Self { answer: watch::Sender::new(Answer::Issue), asked: Mutex::default() }
    }
}

impl FakeSource {
    /// Credentials live from now on for as long as their role says. Held requests are answered too.
    pub fn issue(&self) {
        self.answer.send_replace(Answer::Issue);
    }

    pub fn issue_between(&self, issued_at: SystemTime, expires_at: SystemTime) {
        self.answer.send_replace(Answer::IssueBetween { issued_at, expires_at });
    }

    pub fn fail(&self, class: FetchErrorKind, code: Option<&str>, detail: &str) {
        let error = FetchError { class, code: code.map(str::to_owned), detail: detail.to_owned() };
        self.answer.send_replace(Answer::Fail(error));
    }

    /// Answers nothing until the next change.
    pub fn hold(&self) {
        self.answer.send_replace(Answer::Hold);
    }

    /// The ARNs of the requested roles, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(&self, key: &CredentialKey) -> Result<Credential, FetchError> {
        let nth = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push(key.role().arn.to_string());
            asked.len()
        };
        let mut answers = self.answer.subscribe();
        let answer = answers.wait_for(|answer| !matches!(answer, Answer::Hold)).await.map(|answer| answer.clone());
        let (issued_at, expires_at) = match answer {
            Ok(Answer::IssueBetween { issued_at, expires_at }) => (issued_at, expires_at),
            Ok(Answer::Fail(error)) => return Err(error),
            Ok(Answer::Issue | Answer::Hold) | Err(_) => {
                #[expect(clippy::disallowed_methods, reason = "a source states times by a clock of its own")]
                let now = SystemTime::now();
                (now, now + key.role().duration)
            }
        };
        let role = key.role().arn.name();
        let secret = Secret::new(format!("secret-of-{role}-{nth}"));
        let token = Secret::new(format!("token-of-{role}-{nth}"));
        Ok(Credential::new(format!("ASIA{nth:016}"), secret, token, issued_at, expires_at))
    }
}

impl Source for FakeSource {
    fn fetch<'a>(&'a self, key: &'a CredentialKey) -> Fetch<'a> {
        Box::pin(self.answer(key))
    }
}
