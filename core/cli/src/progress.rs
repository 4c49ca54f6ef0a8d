//! [`Progress`]: says on a terminal what takes long, and for how long it has been going on.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Work that ends sooner is not worth a word.
const PATIENCE: Duration = Duration::from_secs(1);
const FRAME: Duration = Duration::from_millis(100);
const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// Back to the start of the line, and erase it.
const ERASE: &str = "\r\x1b[2K";

/// A line on stderr that shows work in progress from its second second on. Dropping it takes the line away.
pub struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Work has begun. Says nothing unless stderr is a terminal that can take a line back.
    pub fn start(what: impl Into<String>) -> Self {
        let capable = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        match capable {
            true => Progress::on(io::stderr(), what.into(), PATIENCE),
            false => Progress(None),
        }
    }

    fn on(mut out: impl Write + Send + 'static, what: String, patience: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let begin = Instant::now();
        let draw = move || {
            let mut wait = patience;
            let mut frames = FRAMES.iter().cycle();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
                let frame = frames.next().unwrap_or(&' ');
                let line = format!("{ERASE}{frame} {what} {:.1} s", begin.elapsed().as_secs_f32());
                if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
                    return;
                }
                wait = FRAME;
            }
            if wait == FRAME {
                let _ = out.write_all(ERASE.as_bytes()).and_then(|()| out.flush());
            }
        };
        // Without a thread for it there is no progress line; the work goes on.
        Progress(std::thread::Builder::new().name("progress".into()).spawn(draw).ok().map(|t| (stop, t)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn short_work_is_silent() {
        let out = Shared::default();
        drop(Progress::on(out.clone(), "working".into(), Duration::from_secs(3600)));
        assert_eq!(out.text(), "");
    }

    #[test]
    fn long_work_shows_its_time_and_cleans_up() {
        let out = Shared::default();
        let progress = Progress::on(out.clone(), "compiling x.wasm".into(), Duration::ZERO);
        while !out.text().contains("compiling x.wasm") {
            std::thread::yield_now();
        }
        drop(progress);
        let text = out.text();
        assert!(text.contains(" s"), "{text:?}");
        assert!(text.ends_with(ERASE), "{text:?}");
    }
}
