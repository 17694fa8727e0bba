//! One watch of the fake.

use std::{io, sync::Arc};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc::Sender;

use super::{
    Cut, Happened, Kind, ReceivedRequest, Shared,
    serve::{selected, shown, status},
};

pub(super) struct Watch {
    shared: Arc<Shared>,
    kind: Kind,
    asked: ReceivedRequest,
    frames: Sender<io::Result<Bytes>>,
    /// Everything up to this version was sent.
    seen: u64,
    /// How many cuts there were before it began.
    cuts: u64,
}

/// What the watch does next.
enum Next {
    Send(Vec<Happened>),
    Wait,
    /// Ends, in the middle of an object if `torn`.
    End {
        torn: bool,
    },
}

impl Watch {
    pub(super) fn new(
        shared: &Arc<Shared>,
        kind: Kind,
        asked: ReceivedRequest,
        frames: Sender<io::Result<Bytes>>,
    ) -> Self {
        let seen = asked.query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let cuts = shared.lock().cuts;
        Self { shared: Arc::clone(shared), kind, asked, frames, seen, cuts }
    }

    pub(super) async fn run(mut self) {
        let mut changes = self.shared.changed.subscribe();
        if self.seen < self.shared.lock().oldest {
            let gone = status(410, "Expired", "too old resource version");
            let _ = self.send(&json!({ "type": "ERROR", "object": gone }).to_string()).await;
            return;
        }
        loop {
            match self.next() {
                Next::Send(happened) => {
                    for one in happened {
                        self.seen = one.version;
                        let object = shown_of(&one, &self.asked);
                        if self.send(&json!({ "type": one.what, "object": object }).to_string()).await.is_err() {
                            return;
                        }
                    }
                }
                Next::Wait => tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = self.frames.closed() => return,
                },
                Next::End { torn: false } => return,
                Next::End { torn: true } => {
                    let half = Bytes::from_static(br#"{"type":"MODIFIED","object":{"metadata":{"na"#);
                    let _ = self.frames.send(Ok(half)).await;
                    let _ = self.frames.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                    return;
                }
            }
        }
    }

    fn next(&self) -> Next {
        let state = self.shared.lock();
        let cut = (state.cuts > self.cuts).then_some(state.cut);
        if let Some(Cut::Now | Cut::Torn) = cut {
            return Next::End { torn: cut == Some(Cut::Torn) };
        }
        let concerns = |one: &&Happened| {
            let of_kind = one.kind.is_none_or(|kind| kind == self.kind);
            one.version > self.seen && of_kind && (one.kind.is_none() || selected(&one.object, &self.asked))
        };
        let happened: Vec<Happened> = state.history.iter().filter(concerns).cloned().collect();
        match (happened.is_empty(), cut) {
            (false, _) => Next::Send(happened),
            (true, Some(_)) => Next::End { torn: false },
            (true, None) => Next::Wait,
        }
    }

    async fn send(&self, event: &str) -> Result<(), ()> {
        let chunk = self.shared.lock().chunk;
        let line = format!("{event}\n").into_bytes();
        let pieces = line.chunks(if chunk == 0 { line.len() } else { chunk });
        for piece in pieces {
            self.frames.send(Ok(Bytes::copy_from_slice(piece))).await.map_err(drop)?;
        }
        Ok(())
    }
}

/// A bookmark gets the watched kind; a status is sent as it is.
fn shown_of(one: &Happened, asked: &ReceivedRequest) -> serde_json::Value {
    match one.what {
        "BOOKMARK" => {
            let mut bookmark = one.object.clone();
            if let Some(bookmark) = bookmark.as_object_mut() {
                bookmark.insert("apiVersion".into(), json!("v1"));
                bookmark.insert("kind".into(), json!("Bookmark"));
            }
            bookmark
        }
        "ERROR" => one.object.clone(),
        _ => shown(&one.object, asked),
    }
}
