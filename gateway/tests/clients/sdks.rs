//! The table of what each SDK does in front of the gateway, as it is: deploy/SDKS.md. Each cell is what a run saw, and this
//! test fails where it sees something else. `UPDATE_GOLDEN=1` writes the table.

use std::{
    env, fs,
    io::{self, Write as _},
    iter, mem,
    path::Path,
    time::Duration,
};

use crate::{
    client::{Client, V1},
    lab::{Lab, Tokens},
    network::{Network, Passes},
    pods::{CHECKOUT, INTRUDER},
    session::Session,
};

/// The life of credentials that expire while a test looks. A gateway takes none that live for less than a minute, and the Java SDK
/// v1 asks for new ones 50 to 70 s after the last (`BaseCredentialsFetcher` of 1.12.797).
const LIFE: Duration = Duration::from_secs(75);
/// In the sandbox's placement and identity document.
const REGION: &str = "eu-west-1";

const HEAD: &str = "\
# AWS SDKs in front of Metagate

How each client behaves in front of a gateway, unchanged and with its defaults. Environment variables configure it; its program
names the region of STS, and what the client does not read from the environment. `make clients` runs every cell of the clients that
are installed, and fails where one differs; `UPDATE_GOLDEN=1 make clients` writes this file.

| column | what happens |
|---|---|
| role | the client gets its pod's credentials by IMDSv2, and STS says whose they are |
| region | it finds the region by the metadata service |
| expiry | its credentials expire while the program runs, and it goes on with new ones |
| restart | the gateway restarts with new keys for session tokens, so the next request gets a 401; then the credentials expire |
| 503 | the first answer for credentials is 503 with Retry-After, and the second has them |
| throttled | STS throttles the gateway before it has any credentials, and recovers after the first call |
| denied | policy denies the role: what the client's error says beside that there are no credentials |
| IMDSv1 | only requests without a session token get through, and the gateway allows them |
";

const FOOT: &str = "
- *tries again*: the program's one call has credentials. *next call*: that call fails, and the next one has credentials.
- Most SDKs look for the region at the metadata service only where they are told to, such as by the defaults mode `auto`. Those for
  Go and Java read it in the instance identity document, the others below `placement/`.
- AWS CLI: a process for each command, so that nothing expires in it.
- boto3: it puts off the end of credentials that have less than 15 minutes to live, so its clock was moved, and one call shows both
  expiry and restart.
- Rust, *keeps the old*: it sends its old token again and again, and goes on with the credentials that it has, until the token's 6 hours
  are over. A key that outlives the gateway's pod (`imds.token_key_file` on a volume of the node) prevents the 401.
- Ruby, *keeps the old*: by its code it asks again 5 minutes before credentials end, and after a 401 it asks nobody for 5 to 6 minutes.
  It may then use expired credentials for up to 6 minutes. `imds.token_key_file` prevents that, too.
- Common Runtime, *no*: its Python binding aborts where the answer for credentials is a 503, whichever service gives it. It stands in for
  the C++ SDK, which may be built on it.

Not run, because their packages could not be had where these tests run: AWS CLI v2, .NET, PHP, and the C++ SDK itself.
";

const TITLES: [&str; 2] = [
    "| client | version | role | region | expiry | restart | 503 | throttled | denied | IMDSv1 |\n",
    "|---|---|---|---|---|---|---|---|---|---|\n",
];

#[tokio::test]
async fn every_sdk_does_what_the_table_says() {
    let Some(lab) = Lab::start(Tokens::Optional).await else { return };
    let (clients, absent): (Vec<_>, Vec<_>) = Client::ALL.into_iter().partition(|client| client.is_installed(&lab));
    drop(lab);
    if !absent.is_empty() {
        // Not by eprintln!, whose output the test runner hides when a test succeeds.
        let _ = writeln!(io::stderr(), "SKIPPED, as they are not installed: {absent:?}");
    }
    // The first mostly waits.
    let (columns, others) = tokio::join!(while_credentials_expire(&clients), async {
        [
            after_a_refusal(&clients).await,
            while_sts_throttles(&clients).await,
            denied(&clients).await,
            with_v1_only(&clients).await,
        ]
    });
    let rows: Vec<Vec<String>> = clients
        .iter()
        .zip(columns)
        .enumerate()
        .map(|(row, (client, cells))| {
            let others = others.iter().map(|column| column[row].clone());
            iter::once(client.title().to_owned()).chain(cells).chain(others).collect()
        })
        .collect();
    compare(&rows);
}

/// Version, role, region, expiry, restart.
async fn while_credentials_expire(clients: &[Client]) -> Vec<Vec<String>> {
    let mut lab = Lab::start_unready(Tokens::Optional, Some(LIFE), false).await.unwrap();
    lab.wait_until_ready().await;
    let endpoint = lab.endpoint_of(CHECKOUT);
    let mut seen = Vec::new();
    for client in clients {
        let mut session = Session::start(*client, &lab, &endpoint, V1::Disabled);
        let version = session.version().await;
        let (role, key) = role(&mut session).await;
        let role = role.to_owned();
        let region = match session.region().await {
            None => "does not look".to_owned(),
            Some(Ok(region)) if region == REGION => "yes".to_owned(),
            Some(found) => format!("no: {found:?}"),
        };
        seen.push((session, key, vec![version, role, region]));
    }
    tokio::time::sleep(LIFE).await;
    for (session, key, cells) in &mut seen {
        cells.push(renewed(session, key).await.to_owned());
    }
    lab.restart_gateway().await;
    tokio::time::sleep(LIFE).await;
    for (session, key, cells) in &mut seen {
        cells.push(renewed(session, key).await.to_owned());
    }
    let mut columns: Vec<Vec<String>> = seen.into_iter().map(|(_, _, cells)| cells).collect();
    if let Some(row) = clients.iter().position(|client| *client == Client::Boto3) {
        columns[row].splice(3.., boto3_with_another_clock().await.map(str::to_owned));
    }
    columns
}

async fn role(session: &mut Session) -> (&'static str, Option<String>) {
    match session.identity().await {
        Ok(identity) if Some(identity.arn.as_str()) == CHECKOUT.arn => ("yes", identity.key),
        Ok(identity) => panic!("got another pod's role: {}", identity.arn),
        Err(error) => {
            println!("no credentials: {error}");
            ("no", None)
        }
    }
}

/// Whether it has the role by another key than before.
async fn renewed(session: &mut Session, key: &mut Option<String>) -> &'static str {
    if !session.outlives_a_command() {
        return "each command asks";
    }
    let (mut said, mut now) = role(session).await;
    if said == "no" {
        (said, now) = role(session).await;
        said = if said == "yes" { "next call" } else { "no" };
    }
    let before = mem::replace(key, now);
    if said != "no" && *key == before { "keeps the old" } else { said }
}

/// Expiry and restart. Of credentials that have less than 15 minutes to live botocore puts the end off, since a metadata service that
/// gives such has an outage. So its clock is moved to 50 minutes of an hour, while another gateway has other credentials.
async fn boto3_with_another_clock() -> [&'static str; 2] {
    let mut lab = Lab::start(Tokens::Optional).await.unwrap();
    let mut session = Session::start(Client::Boto3, &lab, &lab.endpoint_of(CHECKOUT), V1::Disabled);
    let (_, mut key) = role(&mut session).await;
    lab.restart_gateway().await;
    assert_eq!(role(&mut session).await.1, key, "boto3 asks before it must");
    session.move_clock(Duration::from_secs(50 * 60)).await;
    [renewed(&mut session, &mut key).await; 2]
}

async fn after_a_refusal(clients: &[Client]) -> Vec<String> {
    let lab = Lab::start(Tokens::Optional).await.unwrap();
    let mut column = Vec::new();
    for client in clients {
        let network = Network::of(CHECKOUT, lab.shared_listener(), Passes::CredentialsAfterOneRefusal).await;
        let mut session = Session::start(*client, &lab, &network.endpoint, V1::Disabled);
        column.push(match session.identity().await {
            Ok(_) => "tries again".to_owned(),
            Err(_) => next_call(&mut session).await,
        });
    }
    column
}

async fn next_call(session: &mut Session) -> String {
    match session.identity().await {
        Ok(_) => "next call".to_owned(),
        Err(error) => {
            println!("no credentials by the next call: {error}");
            "no".to_owned()
        }
    }
}

async fn while_sts_throttles(clients: &[Client]) -> Vec<String> {
    let lab = Lab::start_unready(Tokens::Optional, None, true).await.unwrap();
    let endpoint = lab.endpoint_of(CHECKOUT);
    let mut sessions: Vec<Session> =
        clients.iter().map(|client| Session::start(*client, &lab, &endpoint, V1::Disabled)).collect();
    let mut refused = Vec::new();
    for session in &mut sessions {
        refused.push(session.identity().await.is_err());
    }
    lab.faults.recover();
    lab.wait_until_ready().await;
    let mut column = Vec::new();
    for (session, refused) in sessions.iter_mut().zip(refused) {
        assert!(refused, "nobody had credentials for it");
        column.push(next_call(session).await);
    }
    column
}

async fn denied(clients: &[Client]) -> Vec<String> {
    let lab = Lab::start(Tokens::Optional).await.unwrap();
    let mut column = Vec::new();
    for client in clients {
        let counted = lab.counted(crate::REFUSALS, r#"reason="denied""#).await;
        let answer = Session::start(*client, &lab, &lab.endpoint_of(INTRUDER), V1::Allowed).identity().await;
        assert!(lab.counted(crate::REFUSALS, r#"reason="denied""#).await > counted, "{client:?} was not denied");
        column.push(match answer {
            Ok(identity) => panic!("{client:?} was denied and got {}", identity.arn),
            Err(error) if error.contains("role-not-permitted") => "fails with the reason".to_owned(),
            Err(error) if error.contains("403") => "fails with 403".to_owned(),
            Err(error) => {
                println!("{client:?}, denied, says: {error}");
                "fails".to_owned()
            }
        });
    }
    column
}

async fn with_v1_only(clients: &[Client]) -> Vec<String> {
    let lab = Lab::start(Tokens::Optional).await.unwrap();
    let strict = Lab::start(Tokens::Required).await.unwrap();
    let mut column = Vec::new();
    for client in clients {
        let network = Network::of(CHECKOUT, lab.shared_listener(), Passes::OnlyV1).await;
        let answer = Session::start(*client, &lab, &network.endpoint, V1::Allowed).identity().await;
        let speaks_it = answer.is_ok();
        column.push(if speaks_it { "yes" } else { "never speaks it" }.to_owned());
        let refused = strict.counted(crate::REFUSALS, r#"reason="token-absent""#).await;
        let network = Network::of(CHECKOUT, strict.shared_listener(), Passes::OnlyV1).await;
        let answer = Session::start(*client, &strict, &network.endpoint, V1::Allowed).identity().await;
        assert!(answer.is_err(), "{client:?} got credentials without a token where one is required");
        let now = strict.counted(crate::REFUSALS, r#"reason="token-absent""#).await;
        assert!(now > refused || !speaks_it, "{client:?} failed, but the gateway did not refuse it");
    }
    column
}

fn compare(rows: &[Vec<String>]) {
    let lines = rows.iter().map(|row| format!("| {} |\n", row.join(" | ")));
    let lines: Vec<String> = TITLES.map(str::to_owned).into_iter().chain(lines).collect();
    println!("{}", lines.concat());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/SDKS.md");
    let is_whole = rows.len() == Client::ALL.len();
    let page = [HEAD, "\n", &lines.concat(), FOOT].concat();
    if env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        assert!(is_whole, "every client must be installed to write the table");
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    for line in &lines {
        assert!(written.contains(line.as_str()), "deploy/SDKS.md does not have this line, as it is now:\n{line}");
    }
    assert!(!is_whole || written == page, "deploy/SDKS.md differs from what `UPDATE_GOLDEN=1 make clients` writes");
}
