//! Through the pool.

use pool_subprocess::{Command, Event, Output, RunMode, SubprocessPool};

use super::{Program, Reader};

macro_rules! readers {
    ($($(#[$doc:meta])* $reader:ident $name:literal $output:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $reader(SubprocessPool);

            impl Default for $reader {
                fn default() -> Self {
                    Self(pool())
                }
            }

            impl $reader {
                const NAME: &str = $name;

                fn command(program: &Program) -> Command {
                    Command::new(program.program).args(program.args.clone()).stdout($output)
                }
            }
        )*
    };
}

readers! {
    /// Streamed in pieces, as events.
    Raw "pool, streamed" Output::Raw;
    /// Read, counted and dropped.
    Counted "pool, only counted" Output::Lines;
    /// Kept whole.
    Kept "pool, kept whole" Output::Capture { limit: usize::MAX };
    /// Lines that are lent.
    Lent "pool, lines lent" Output::Lines;
    /// Lines as events.
    Owned "pool, lines owned" Output::Lines;
}

fn pool() -> SubprocessPool {
    let builder = SubprocessPool::builder().max_size(1).mode(RunMode::Async);
    builder.build().expect("a pool of this size can be made")
}

async fn events(pool: &SubprocessPool, command: Command) -> u64 {
    let mut bytes = 0;
    let mut events = pool.run(command).events();
    while let Some(event) = events.next().await {
        match event {
            Event::Line(line) => bytes += line.bytes.len() as u64,
            Event::Ended(outcome) => {
                assert!(outcome.expect("the program starts").is_success());
            }
            _ => {}
        }
    }
    bytes
}

impl Reader for Raw {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn read(&self, program: &Program) -> u64 {
        events(&self.0, Self::command(program)).await
    }
}

impl Reader for Owned {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn read(&self, program: &Program) -> u64 {
        events(&self.0, Self::command(program)).await
    }
}

impl Reader for Counted {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn read(&self, program: &Program) -> u64 {
        let outcome = self.0.run(Self::command(program)).await;
        outcome.expect("the program starts").stdout().seen()
    }
}

impl Reader for Kept {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn read(&self, program: &Program) -> u64 {
        let outcome = self.0.run(Self::command(program)).await;
        outcome.expect("the program starts").stdout().kept()
    }
}

impl Reader for Lent {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn read(&self, program: &Program) -> u64 {
        let slot = self.0.acquire_subprocess().await.expect("a slot");
        let child = slot.spawn(Self::command(program));
        let mut child = child.expect("the program starts");
        let mut bytes = 0;
        while let Some(line) = child.next_line().await {
            bytes += line.bytes.len() as u64;
        }
        child.wait().await.expect("it ends");
        bytes
    }
}
