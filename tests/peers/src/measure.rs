//! Batches, turns, medians, processor time.
//!
//! Contenders take turns (A B C, B C A, …), so that whatever else the machine does hits all of them alike; a batch is long
//! enough that the clock costs nothing and short enough that few are disturbed; the median forgets those that were.
//! What is counted is the thread's own processor time, in the kernel too: no operation here waits for anything, so on an idle
//! machine that is the time that passes, and on a busy one it is not the other programs' time.

use std::time::Duration;

use crate::cases::{Case, Operation};

/// Does an operation with these parameters as often as asked, and gives the wrapping sum of the answers.
pub type Run = Box<dyn FnMut((i32, i32), u64) -> u32>;

/// Length of a batch.
const BATCH: Duration = Duration::from_millis(20);

/// One runtime in one configuration.
pub struct Contender {
    name: &'static str,
    run: Run,
    operation: Operation,
    peek: Option<Operation>,
    /// Operations in a batch.
    times: u64,
}

impl Contender {
    pub fn new(name: &'static str, case: &Case, run: Run) -> Self {
        Contender { name, run, operation: case.operation, peek: case.peek, times: 1 }
    }

    /// Does an operation a number of times.
    ///
    /// # Panics
    ///
    /// When the answers are wrong: a figure for wrong results is worth nothing.
    fn run(&mut self, operation: Operation, times: u64) -> Duration {
        let start = processor_time();
        let sum = (self.run)(operation.params, times);
        let time = processor_time() - start;
        assert_eq!(
            sum,
            operation.answer.wrapping_mul(times as u32),
            "{} gave wrong answers in {times} operations",
            self.name
        );
        time
    }

    /// Runs one batch, and looks whether the instance after it is as new.
    fn batch(&mut self) -> Duration {
        let time = self.run(self.operation, self.times);
        if let Some(peek) = self.peek {
            self.run(peek, 1);
        }
        time
    }

    /// Finds how many operations make a batch. Warms up on the way.
    fn calibrate(&mut self) {
        loop {
            let time = self.batch();
            if time >= BATCH / 2 {
                let wanted = self.times as f64 * BATCH.as_secs_f64() / time.as_secs_f64();
                self.times = (wanted as u64).max(1);
                return;
            }
            self.times *= 2;
        }
    }
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

/// Measures all contenders in turns; one [`Samples`] each, in their order.
pub fn in_turns(contenders: &mut [Contender], repetitions: usize) -> Vec<Samples> {
    for contender in contenders.iter_mut() {
        contender.calibrate();
    }
    let mut samples = vec![Vec::new(); contenders.len()];
    for turn in 0..repetitions {
        for place in 0..contenders.len() {
            let index = (turn + place) % contenders.len();
            let contender = &mut contenders[index];
            let time = contender.batch();
            samples[index].push(time.as_secs_f64() * 1e9 / contender.times as f64);
        }
    }
    samples.into_iter().map(Samples::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_the_middle() {
        assert_eq!(Samples::new(vec![4.0, 1.0, 3.0, 2.0]).median(), 2.5);
        assert_eq!(Samples::new(vec![9.0, 1.0, 3.0]).median(), 3.0);
    }

    fn contender(run: Run) -> Contender {
        let operation = Operation { params: (0, 0), answer: 1 };
        Contender { name: "test", run, operation, peek: None, times: 1 }
    }

    #[test]
    fn every_contender_gets_as_many_samples_as_turns() {
        let worker = |_, times| (0..times).fold(0, |sum, _| std::hint::black_box(sum) + 1);
        let samples = in_turns(&mut [contender(Box::new(worker)), contender(Box::new(worker))], 9);
        assert_eq!(samples.iter().map(|s| s.0.len()).collect::<Vec<_>>(), [9, 9]);
    }

    #[test]
    #[should_panic(expected = "wrong answers")]
    fn wrong_answers_are_not_measured() {
        in_turns(&mut [contender(Box::new(|_, _| 7))], 9);
    }

    #[test]
    #[should_panic(expected = "wrong answers")]
    fn an_instance_that_is_not_as_new_is_found() {
        let peek = Some(Operation { params: (5, 0), answer: 0 });
        let run = |params, times| if params == (5, 0) { 1 } else { times as u32 };
        in_turns(&mut [Contender { peek, ..contender(Box::new(run)) }], 9);
    }
}
