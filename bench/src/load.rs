//! Closed-loop load: each connection asks again as soon as it has its answer.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::MissedTickBehavior,
};

/// Connections that stay open between rounds, and what is asked on them.
pub struct Load {
    clients: Vec<Client>,
    request: Request<Empty<Bytes>>,
}

/// hyper's two halves of a connection. Both are polled by one task: with a task for each, every request would wake one worker
/// from another, and the client would cost more than what is measured.
struct Client {
    sender: SendRequest<Empty<Bytes>>,
    driver: Connection<TokioIo<TcpStream>, Empty<Bytes>>,
}

/// What one round did.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub answers: u64,
    pub took: Duration,
}

impl Round {
    pub fn per_second(self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }
}

impl Load {
    pub async fn connect(from: Ipv4Addr, to: SocketAddr, connections: usize, head: &Parts) -> Result<Self> {
        let mut clients = Vec::with_capacity(connections);
        for _ in 0..connections {
            let socket = TcpSocket::new_v4()?;
            socket.bind((from, 0).into())?;
            let stream = socket.connect(to).await.with_context(|| format!("cannot reach {to} from {from}"))?;
            stream.set_nodelay(true)?;
            let (sender, driver) = handshake(TokioIo::new(stream)).await?;
            clients.push(Client { sender, driver });
        }
        Ok(Self { clients, request: Request::from_parts(head.clone(), Empty::new()) })
    }

    /// One answer, whole.
    pub async fn once(&mut self) -> Result<Response<Bytes>> {
        let client = self.clients.first_mut().context("there is no connection")?;
        client.drive(async |sender| ask(sender, &self.request).await).await
    }

    /// Asks on all connections for at least `time`. Any answer but 200 is an error: it would be measured as fast.
    pub async fn round(&mut self, time: Duration) -> Result<Round> {
        let began = Instant::now();
        let mut asking = JoinSet::new();
        for mut client in self.clients.drain(..) {
            let (request, until) = (self.request.clone(), began + time);
            asking.spawn(async move {
                let answers = client.drive(async |sender| keep_asking(sender, &request, until).await).await?;
                Ok::<_, anyhow::Error>((client, answers))
            });
        }
        let mut answers = 0;
        while let Some(asked) = asking.join_next().await {
            let (client, answered) = asked??;
            self.clients.push(client);
            answers += answered;
        }
        Ok(Round { answers, took: began.elapsed() })
    }

    /// One request a connection each `every`, for `time`; how long each answer took, shortest first. Any answer but 200 is
    /// an error here too.
    pub async fn paced(&mut self, every: Duration, time: Duration) -> Result<Vec<Duration>> {
        let until = Instant::now() + time;
        let mut asking = JoinSet::new();
        for (number, mut client) in self.clients.drain(..).enumerate() {
            let request = self.request.clone();
            // Spread over the interval, or all would ask at the same moment.
            let lead = every.mul_f64(number as f64 / 8.0 % 1.0);
            asking.spawn(async move {
                tokio::time::sleep(lead).await;
                let took = client.drive(async |sender| keep_pace(sender, &request, every, until).await).await?;
                Ok::<_, anyhow::Error>((client, took))
            });
        }
        let mut all = Vec::new();
        while let Some(asked) = asking.join_next().await {
            let (client, took) = asked??;
            self.clients.push(client);
            all.extend(took);
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Asks on all connections until it is dropped, whatever is answered; the first that breaks ends it.
    pub async fn hammer(self) -> Result<()> {
        let mut asking = JoinSet::new();
        for mut client in self.clients {
            let request = self.request.clone();
            asking.spawn(async move { client.drive(async |sender| ask_for_ever(sender, &request).await).await });
        }
        asking.join_next().await.context("there is no connection")?.context("a connection's task ended badly")?
    }
}

impl Client {
    /// Keeps the connection going while `asking`.
    async fn drive<T>(&mut self, asking: impl AsyncFnOnce(&mut SendRequest<Empty<Bytes>>) -> Result<T>) -> Result<T> {
        tokio::select! {
            asked = asking(&mut self.sender) => asked,
            ended = &mut self.driver => bail!("the server ended the connection: {ended:?}"),
        }
    }
}

async fn keep_asking(
    sender: &mut SendRequest<Empty<Bytes>>,
    request: &Request<Empty<Bytes>>,
    until: Instant,
) -> Result<u64> {
    let mut answers = 0;
    while Instant::now() < until {
        let answer = ask(sender, request).await?;
        ensure!(answer.status() == StatusCode::OK, "answered {}: {:?}", answer.status(), answer.body());
        answers += 1;
    }
    Ok(answers)
}

async fn keep_pace(
    sender: &mut SendRequest<Empty<Bytes>>,
    request: &Request<Empty<Bytes>>,
    every: Duration,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    let mut pace = tokio::time::interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until {
        pace.tick().await;
        let began = Instant::now();
        let answer = ask(sender, request).await?;
        ensure!(answer.status() == StatusCode::OK, "answered {}: {:?}", answer.status(), answer.body());
        took.push(began.elapsed());
    }
    Ok(took)
}

async fn ask_for_ever(sender: &mut SendRequest<Empty<Bytes>>, request: &Request<Empty<Bytes>>) -> Result<()> {
    loop {
        ask(sender, request).await?;
    }
}

async fn ask(sender: &mut SendRequest<Empty<Bytes>>, request: &Request<Empty<Bytes>>) -> Result<Response<Bytes>> {
    sender.ready().await?;
    let (head, body) = sender.send_request(request.clone()).await?.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}
