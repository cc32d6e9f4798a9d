//! TCP connections as resources, to an echo server that hangs up on whoever says "bye" and has no
//! answer to "hush".
//!
//! A connection notes when it waits for an answer. One that is left in the middle of that, by a
//! caller that gave up or by a check that was cut short, would give its answer to the wrong question,
//! so it is not used again.

use std::{borrow::Cow, io, net::SocketAddr, time::Duration};

use pool_core::{CreateCx, Manager, Metrics, OwnedGuard, Pool, Reason, Reject, Verdict};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

struct Connections {
    server: SocketAddr,
}

struct Connection {
    stream: BufReader<TcpStream>,
    /// A question has been sent, in part at least, and its answer has not come.
    unanswered: bool,
}

impl Manager for Connections {
    type Resource = Connection;
    type Error = io::Error;

    async fn create(&self, cx: &CreateCx) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.server).await?;
        println!("slot {}: connected", cx.index());
        Ok(Connection {
            stream: BufReader::new(stream),
            unanswered: false,
        })
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        _: &Metrics,
    ) -> Result<(), Reject<io::Error>> {
        if connection.unanswered {
            return Err(Reject::because("an earlier check was cut short"));
        }
        connection.ask("ping").await?;
        Ok(())
    }

    fn inspect(&self, connection: &mut Connection, _: &Metrics) -> Verdict {
        if connection.unanswered {
            Verdict::Destroy
        } else {
            Verdict::Keep
        }
    }

    async fn destroy(&self, mut connection: Connection, why: Reason) {
        println!("disconnecting: {why}");
        let _ = connection.stream.shutdown().await;
    }

    fn explain(&self, error: &io::Error) -> Cow<'static, str> {
        error.to_string().into()
    }
}

impl Connection {
    async fn ask(&mut self, question: &str) -> io::Result<String> {
        self.unanswered = true;
        let line = format!("{question}\n");
        self.stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        if self.stream.read_line(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unanswered = false;
        Ok(answer.trim_end().to_owned())
    }
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await? > 0 {
                if line != "hush\n" {
                    stream.write_all(line.as_bytes()).await?;
                }
                if line == "bye\n" {
                    break;
                }
                line.clear();
            }
            io::Result::Ok(())
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    tokio::spawn(serve(listener));
    let pool = Pool::builder(Connections { server }).max_size(2).build()?;

    let callers = ["one", "two", "three", "four"].map(|word| {
        let acquire = pool.acquire_owned();
        tokio::spawn(async move {
            let mut connection = acquire.await.expect("the server listens");
            let answer = connection.ask(word).await.expect("it answers");
            println!("slot {}: {answer}", OwnedGuard::index(&connection));
        })
    });
    for caller in callers {
        caller.await?;
    }

    println!(
        "said {:?}: the server has hung up",
        pool.acquire().await?.ask("bye").await?
    );
    println!(
        "asked again: {:?}",
        pool.acquire().await?.ask("still there?").await?
    );

    let mut left = pool.acquire().await?;
    let asked = tokio::time::timeout(Duration::from_millis(20), left.ask("hush")).await;
    println!("no answer: {}", asked.is_err());
    drop(left);

    pool.drain(Duration::from_secs(5)).await?;
    println!("{}", pool.status());
    Ok(())
}
