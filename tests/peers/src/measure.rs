//! Batches, turns, medians, processor time.
//!
//! Contenders take turns (A B C, B C A, …), so that whatever else the machine does hits all of them alike; a batch is long
//! enough that the clock costs nothing and short enough that few are disturbed; the median forgets those that were.
//! What is counted is the thread's own processor time, in the kernel too: no operation here waits for anything, so on an idle
//! machine that is the time that passes, and on a busy one it is not the other programs' time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::AnyResult;
use crate::cases::Operation;

/// Does an operation with these parameters as often as asked, and gives the wrapping sum of the answers.
pub type Run = Box<dyn FnMut((i32, i32), u64) -> u32 + Send>;

/// Makes something that operates; what it makes shares the engine and the module.
type Maker<T> = Box<dyn Fn() -> AnyResult<T>>;

/// One runtime in one configuration, ready for one case.
pub struct Side {
    /// The operation with a fresh instance each time.
    pub fresh: Maker<Run>,
    /// The same in an instance that stays.
    pub live: Maker<Run>,
    /// A fresh instance that has done the operation once and stays alive.
    pub keep: Maker<Box<dyn std::any::Any>>,
}

/// Length of a batch.
const BATCH: Duration = Duration::from_millis(20);

/// One side in turns with others, on one thread or on two.
pub struct Contender {
    name: String,
    run: Run,
    second: Option<SecondThread>,
    operation: Operation,
    peek: Option<Operation>,
    /// Operations in a batch.
    times: u64,
}

impl Contender {
    pub fn new(name: impl Into<String>, operation: Operation, peek: Option<Operation>, run: Run) -> Self {
        Contender { name: name.into(), run, second: None, operation, peek, times: 1 }
    }

    /// With a second thread that does the same at the same time.
    pub fn beside(mut self, run: Run) -> Self {
        self.second = Some(SecondThread::new(self.name.clone(), self.operation, run));
        self
    }

    /// Operations in a batch, and what does them.
    pub fn into_parts(self) -> (u64, Run) {
        (self.times, self.run)
    }

    /// Does an operation a number of times.
    ///
    /// # Panics
    ///
    /// When the answers are wrong: a figure for wrong results is worth nothing.
    fn run(&mut self, operation: Operation, times: u64) {
        check(&self.name, (self.run)(operation.params, times), operation, times);
    }

    /// Runs one batch, and looks whether the instance after it is as new. Nanoseconds an operation; with a second thread, of
    /// each thread's operations.
    fn batch(&mut self) -> f64 {
        let times = self.times;
        let each = match &self.second {
            None => {
                let start = processor_time();
                self.run(self.operation, times);
                (processor_time() - start).as_secs_f64() * 1e9 / times as f64
            }
            Some(second) => {
                second.start(times.div_ceil(16));
                let start = OwnTime::now();
                check(&self.name, (self.run)(self.operation.params, times), self.operation, times);
                let own = start.elapsed().as_secs_f64() * 1e9 / times as f64;
                let other = second.stop();
                // The mean of the rates.
                2.0 / (1.0 / own + 1.0 / other)
            }
        };
        if let Some(peek) = self.peek {
            self.run(peek, 1);
        }
        each
    }

    /// Finds how many operations make a batch. Warms up on the way.
    fn calibrate(&mut self) {
        loop {
            let time = self.batch() * self.times as f64;
            let batch = BATCH.as_secs_f64() * 1e9;
            if time >= batch / 2.0 {
                self.times = ((self.times as f64 * batch / time) as u64).max(1);
                return;
            }
            self.times *= 2;
        }
    }
}

/// Checks the sum of the answers of a number of operations.
#[track_caller]
fn check(name: &str, sum: u32, operation: Operation, times: u64) {
    let expected = operation.answer.wrapping_mul(times as u32);
    assert_eq!(sum, expected, "{name} gave wrong answers in {times} operations");
}

/// A thread that works while another is measured. It stays from batch to batch, so that what a runtime keeps for each thread
/// is there.
struct SecondThread {
    /// Operations between two looks at `stopped`; the thread ends when this is dropped.
    starts: mpsc::Sender<u64>,
    ends: mpsc::Receiver<f64>,
    running: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
}

impl SecondThread {
    fn new(name: String, operation: Operation, mut run: Run) -> Self {
        let (starts, orders) = mpsc::channel::<u64>();
        let (results, ends) = mpsc::channel();
        let (running, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (runs, stops) = (running.clone(), stopped.clone());
        std::thread::spawn(move || {
            for chunk in orders {
                check(&name, run(operation.params, chunk), operation, chunk);
                runs.store(true, Ordering::Release);
                let (start, mut times) = (OwnTime::now(), 0);
                while times == 0 || !stops.load(Ordering::Acquire) {
                    check(&name, run(operation.params, chunk), operation, chunk);
                    times += chunk;
                }
                if results.send(start.elapsed().as_secs_f64() * 1e9 / times as f64).is_err() {
                    return;
                }
            }
        });
        SecondThread { starts, ends, running, stopped }
    }

    /// Returns when the thread works.
    fn start(&self, chunk: u64) {
        self.running.store(false, Ordering::Relaxed);
        self.stopped.store(false, Ordering::Relaxed);
        self.starts.send(chunk).expect("the second thread has failed");
        while !self.running.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    }

    /// Nanoseconds that each of the thread's operations has taken.
    fn stop(&self) -> f64 {
        self.stopped.store(true, Ordering::Release);
        self.ends.recv().expect("the second thread has failed")
    }
}

/// A pure computation: what a second thread gains on this machine, whatever is computed.
pub fn pure_loop() -> Run {
    Box::new(|(first, _), times| {
        let mut sum = 0u32;
        for _ in 0..times {
            let mut state = std::hint::black_box(first as u32);
            for _ in 0..100 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            }
            sum = sum.wrapping_add(u32::from(std::hint::black_box(state) != 0));
        }
        sum
    })
}

/// Time of a thread in which it ran or was blocked by its own doing: what passed on the wall without the time that the thread
/// could have run but other programs did. Threads that wait for each other are seen by this, and not by processor time.
struct OwnTime {
    wall: Instant,
    waited: Duration,
}

impl OwnTime {
    fn now() -> Self {
        OwnTime { waited: waited_for_processor(), wall: Instant::now() }
    }

    fn elapsed(&self) -> Duration {
        let wall = self.wall.elapsed();
        wall.saturating_sub(waited_for_processor() - self.waited)
    }
}

/// How long this thread was ready to run and did not; zero where the system does not tell.
fn waited_for_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = text.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    Duration::from_nanos(waited)
}

/// Processor time that this thread has used.
pub fn processor_time() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time that all threads have used.
pub fn processor_time_of_process() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `id` is one of the clocks above, which exist on every system that this program is for; `time` is ours.
    let status = unsafe { libc::clock_gettime(id, &mut time) };
    assert_eq!(status, 0, "no clock of processor time: {}", std::io::Error::last_os_error());
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Nanoseconds per operation, one figure a batch, ascending. Not empty.
#[derive(Clone)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn new(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Samples(samples)
    }

    pub fn median(&self) -> f64 {
        let (low, high) = (self.0[(self.0.len() - 1) / 2], self.0[self.0.len() / 2]);
        (low + high) / 2.0
    }

    pub fn lowest(&self) -> f64 {
        self.0[0]
    }
}

/// Measures all contenders in turns; for each its figures, in the order of the turns.
pub fn in_turns(contenders: &mut [Contender], repetitions: usize) -> Vec<Vec<f64>> {
    for contender in contenders.iter_mut() {
        contender.calibrate();
    }
    let mut samples = vec![Vec::new(); contenders.len()];
    for turn in 0..repetitions {
        for place in 0..contenders.len() {
            let index = (turn + place) % contenders.len();
            samples[index].push(contenders[index].batch());
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_the_middle() {
        assert_eq!(Samples::new(vec![4.0, 1.0, 3.0, 2.0]).median(), 2.5);
        assert_eq!(Samples::new(vec![9.0, 1.0, 3.0]).median(), 3.0);
    }

    const ONE: Operation = Operation { params: (0, 0), answer: 1 };

    fn contender(run: Run) -> Contender {
        Contender::new("test", ONE, None, run)
    }

    fn worker() -> Run {
        Box::new(|_, times| (0..times).fold(0, |sum, _| std::hint::black_box(sum) + 1))
    }

    #[test]
    fn every_contender_gets_as_many_samples_as_turns() {
        let samples = in_turns(&mut [contender(worker()), contender(worker()).beside(worker())], 9);
        assert_eq!(samples.iter().map(Vec::len).collect::<Vec<_>>(), [9, 9]);
        assert!(samples.iter().flatten().all(|&ns| ns > 0.0));
    }

    #[test]
    #[should_panic(expected = "wrong answers")]
    fn wrong_answers_are_not_measured() {
        in_turns(&mut [contender(Box::new(|_, _| 7))], 9);
    }

    #[test]
    #[should_panic(expected = "the second thread has failed")]
    fn wrong_answers_of_a_second_thread_are_not_measured() {
        in_turns(&mut [contender(worker()).beside(Box::new(|_, times| if times > 4 { 0 } else { times as u32 }))], 9);
    }

    #[test]
    #[should_panic(expected = "wrong answers")]
    fn an_instance_that_is_not_as_new_is_found() {
        let peek = Some(Operation { params: (5, 0), answer: 0 });
        let run: Run = Box::new(|params, times| if params == (5, 0) { 1 } else { times as u32 });
        in_turns(&mut [Contender::new("test", ONE, peek, run)], 9);
    }

    #[test]
    fn a_thread_that_sleeps_has_used_its_own_time() {
        let start = OwnTime::now();
        std::thread::sleep(Duration::from_millis(20));
        assert!(start.elapsed() > Duration::from_millis(10));
    }
}
