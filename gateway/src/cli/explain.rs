//! `metagate explain`

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow, bail};
use metagate::{
    admin, app,
    clock::Clock,
    config::RosterSource,
    explain::{CacheEntry, CredentialStatus, Explanation, Question},
    roster::{Entry, fixed::parse},
    telemetry::Telemetry,
    workload::Workload,
};

use super::{ConfigArgs, DENIED, FAILURE, Failure, Output, block_on, print};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The pod to explain
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pod: String,
    /// Explain a request of the pod for this role
    #[arg(long)]
    role: Option<String>,
    /// Explain a request of the pod for this path, such as meta-data/placement/region
    #[arg(long)]
    path: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Decide here, without a gateway, for a pod of this file (a fixed roster's TOML)
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let explanation = block_on(async {
        match &args.workload {
            Some(file) => here(args, file).await,
            None => there(args).await,
        }
    })?;
    match args.output {
        Output::Json => print(&serde_json::to_string_pretty(&explanation).context("cannot write JSON")?),
        Output::Text => print(text(&explanation).trim_end()),
    }
    Ok(match explanation.status {
        200 => ExitCode::SUCCESS,
        403 | 404 => ExitCode::from(DENIED),
        _ => ExitCode::from(FAILURE),
    })
}

/// The running gateway's explanation.
async fn there(args: &Args) -> Result<Explanation, Failure> {
    let config = args.config.load()?.config;
    let mut query = vec![("pod", args.pod.as_str())];
    query.extend(args.role.as_deref().map(|role| ("role", role)));
    query.extend(args.path.as_deref().map(|path| ("path", path)));
    let query = serde_urlencoded::to_string(query).context("cannot write the query")?;
    let path = format!("/api/v1/explain?{query}");
    let answer = admin::ask(&config.admin.listen, &path).await.map_err(anyhow::Error::from)?;
    let body = answer.body();
    if !answer.status().is_success() {
        return Err(anyhow!("{}", String::from_utf8_lossy(body).trim()).into());
    }
    Ok(serde_json::from_slice(body).context("the gateway's answer is not an explanation; is it of another version?")?)
}

/// This process's explanation, by the same engine.
async fn here(args: &Args, file: &Path) -> Result<Explanation, Failure> {
    let mut config = args.config.load()?.config;
    config.roster.source = RosterSource::Fixed { file: file.to_owned() };
    // The folder belongs to the gateway, and perhaps to another user.
    config.plugin_files.compiled = None;
    let entry = Entry::from(workload(&args.pod, file)?);
    let telemetry = Telemetry::unexported().map_err(app::StartError::from)?;
    let policy = app::build_policy(&config, &telemetry, Clock::system()).await?;
    let question = Question { role: args.role.as_deref(), path: args.path.as_deref() };
    let (nothing, now) = (|_: &_| CacheEntry::default(), Clock::system().now());
    Ok(Explanation::of(&policy, &config.imds.allow, entry.principal(), question, nothing, now).await)
}

fn workload(pod: &str, file: &Path) -> anyhow::Result<Workload> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let parsed = parse(file, &text).map_err(|faults| anyhow!("{faults}"))?;
    let mut titles = Vec::new();
    for listed in parsed.workloads {
        if listed.workload.title() == pod {
            return Ok(listed.workload);
        }
        titles.push(listed.workload.title());
    }
    bail!("{} has no pod {pod}; it has {}", file.display(), titles.join(", "))
}

fn text(explanation: &Explanation) -> String {
    let mut lines = vec![format!("pod           {} ({})", explanation.pod, explanation.ips.join(", "))];
    lines.push(format!("              service account {}", explanation.service_account));
    for (what, value) in &explanation.known {
        lines.push(format!("              {what}: {}", value.escape_debug()));
    }
    if let Some(asked) = &explanation.asked {
        lines.push(format!("asked for     {asked}"));
    }
    lines.push("plugins".into());
    for step in &explanation.steps {
        let audited = if step.audited { "  [audit: not acted on]" } else { "" };
        lines.push(format!("  {:<14} {:<16} {}{audited}", step.phase, step.plugin, step.answer));
    }
    lines.push(format!("outcome       {} ({})", explanation.outcome, explanation.status));
    let mut field = |name: &str, value: &Option<String>| {
        lines.extend(value.as_ref().map(|value| format!("{name:<13} {value}")));
    };
    field("reason", &explanation.reason);
    field("role", &explanation.role_arn);
    field("session name", &explanation.session_name);
    field("obtained by", &explanation.source);
    if let Some(status) = &explanation.credential {
        lines.push(format!("credential    {}", credential(status)));
    }
    if let Some(step) = &explanation.next_step {
        lines.push(format!("next step     {}", step.say));
        lines.extend(step.command.as_ref().map(|command| format!("              {command}")));
    }
    let audited = explanation.steps.iter().filter(|step| step.audited).count();
    if audited > 0 {
        let answers = if audited == 1 { "answer" } else { "answers" };
        lines.push(format!("audit mode: {audited} {answers} would otherwise have refused this"));
    }
    lines.join("\n")
}

fn credential(status: &CredentialStatus) -> String {
    let cached = match (&status.access_key_id, &status.expires, &status.remaining) {
        (Some(id), Some(expires), Some(remaining)) => format!("{id} expires in {remaining}, at {expires}"),
        _ => "none is cached".to_owned(),
    };
    let renews = status.renews.as_ref().map(|at| format!("; it is fetched again at {at}"));
    let failed = status.last_error.as_ref().map(|class| format!("; the last fetch failed: {class}"));
    [Some(cached), renews, failed].into_iter().flatten().collect()
}
