//! [`Runs`]: pages of a memory, as a few ranges of neighbours.
//!
//! Each run that lies in pages of another protection costs the system two mappings more, of which a process can have only so
//! many. So there are never more than [`MAX_RUNS`]: beyond that, the two between which there is the smallest gap become one.
//!
//! Nothing here allocates but [`Runs::covering`]: a signal handler adds to them.

use std::ops::Range;

/// Most runs of a memory.
pub const MAX_RUNS: usize = 16;

/// Most pages beside one that faulted that become writable with it.
const MAX_AROUND: usize = 64;

/// A set of pages, given by their numbers.
///
/// Invariant: runs are ascending, not empty, and do not touch each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    list: [Run; MAX_RUNS],
    count: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    start: usize,
    end: usize,
}

impl Runs {
    /// No page.
    pub const EMPTY: Runs = Runs { list: [Run { start: 0, end: 0 }; MAX_RUNS], count: 0 };

    /// The pages of one range.
    pub fn one(range: Range<usize>) -> Self {
        let mut runs = Runs::EMPTY;
        runs.push(range);
        runs
    }

    /// Adds a range that begins where others have ended. There must be room for it.
    pub fn push(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.list[self.count] = Run { start: range.start, end: range.end };
            self.count += 1;
        }
    }

    /// These pages, ascending, and as few others as possible.
    pub fn covering(pages: impl Iterator<Item = usize>) -> Self {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for page in pages {
            match runs.last_mut() {
                Some(last) if last.end == page => last.end += 1,
                _ => runs.push(page..page + 1),
            }
        }
        // The widest gaps stay.
        let mut gaps: Vec<(usize, usize)> =
            runs.windows(2).enumerate().map(|(i, pair)| (pair[1].start - pair[0].end, i)).collect();
        gaps.sort_unstable_by(|a, b| b.cmp(a));
        gaps.truncate(MAX_RUNS - 1);
        gaps.sort_unstable_by_key(|gap| gap.1);
        let mut result = Runs::EMPTY;
        let mut first = 0;
        let lasts = gaps.iter().map(|gap| gap.1).chain(runs.len().checked_sub(1));
        for last in lasts {
            result.push(runs[first].start..runs[last].end);
            first = last + 1;
        }
        result
    }

    /// The runs, ascending.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + '_ {
        self.list[..self.count].iter().map(|run| run.start..run.end)
    }

    /// Number of runs.
    #[inline]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of pages.
    #[inline]
    pub fn pages(&self) -> usize {
        self.iter().map(|run| run.len()).sum()
    }

    /// Whether all pages of a range, which is not empty, are there.
    #[inline]
    pub fn contain(&self, range: &Range<usize>) -> bool {
        self.iter().any(|run| run.start <= range.start && range.end <= run.end)
    }

    /// The parts of a range that are not there.
    pub fn gaps(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(range.start).chain(self.iter().map(|run| run.end));
        let ends = self.iter().map(|run| run.start).chain(std::iter::once(range.end));
        starts.zip(ends).filter_map(move |(start, end)| {
            let gap = start.max(range.start)..end.min(range.end);
            (gap.start < gap.end).then_some(gap)
        })
    }

    /// What to add when a page that is not there is written to: beside a run, which was made by writes in order most
    /// likely, about as many pages as there are in it.
    pub fn around(&self, page: usize) -> Range<usize> {
        let step = |run: &Range<usize>| run.len().min(MAX_AROUND);
        if let Some(below) = self.iter().rev().find(|run| run.end <= page)
            && page - below.end <= step(&below)
        {
            return below.end..page + step(&below);
        }
        if let Some(above) = self.iter().find(|run| run.start > page)
            && above.start - page <= step(&above)
        {
            return (page + 1).saturating_sub(step(&above))..above.start;
        }
        page..page + 1
    }

    /// Whether a range lies in or beside one of the runs, so that to add it makes none more.
    pub fn touch(&self, range: &Range<usize>) -> bool {
        self.iter().any(|run| run.start <= range.end && range.start <= run.end)
    }

    /// Adds a range, which is not empty. If that makes a run too many (or one more at all, unless there may be `more`), joins the
    /// two that have the least between them. Gives what became a part of the set: the range and what was between. `None`, and
    /// nothing is added, if there may be no run at all.
    pub fn add(&mut self, range: Range<usize>, more: bool) -> Option<[Range<usize>; 2]> {
        let most = if more { MAX_RUNS } else { self.count };
        if most == 0 {
            return None;
        }
        let mut list = [Run::default(); MAX_RUNS + 1];
        let mut count = 0;
        let mut put = |run| {
            list[count] = run;
            count += 1;
        };
        let mut new = Run { start: range.start, end: range.end };
        let runs = &self.list[..self.count];
        runs.iter().filter(|run| run.end < range.start).for_each(|&run| put(run));
        for run in runs.iter().filter(|run| run.start <= range.end && range.start <= run.end) {
            new = Run { start: new.start.min(run.start), end: new.end.max(run.end) };
        }
        put(new);
        runs.iter().filter(|run| run.start > range.end).for_each(|&run| put(run));
        let mut between = 0..0;
        if count > most {
            let at = (0..count - 1).min_by_key(|&i| list[i + 1].start - list[i].end)?;
            between = list[at].end..list[at + 1].start;
            list[at].end = list[at + 1].end;
            list.copy_within(at + 2..count, at + 1);
            count -= 1;
        }
        self.list.copy_from_slice(&list[..MAX_RUNS]);
        self.list[count..].fill(Run::default());
        self.count = count;
        Some([new.start..new.end, between])
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of runs")]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn set(runs: &Runs) -> BTreeSet<usize> {
        runs.iter().flatten().collect()
    }

    fn is_well_formed(runs: &Runs) {
        let list: Vec<_> = runs.iter().collect();
        assert!(list.len() <= MAX_RUNS);
        assert!(list.iter().all(|run| !run.is_empty()), "{list:?}");
        assert!(list.windows(2).all(|pair| pair[0].end < pair[1].start), "{list:?}");
    }

    #[test]
    fn what_is_added_is_there_and_what_else_became_writable_is_told() {
        let mut seed = 7u64;
        let mut random = |end: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 16) % end
        };
        for spread in [40, 100, 1000, 100_000] {
            let mut runs = Runs::EMPTY;
            let mut all = BTreeSet::new();
            for _ in 0..300 {
                let start = random(spread) as usize;
                let range = start..start + 1 + random(4) as usize;
                let before = set(&runs);
                let added = runs.add(range.clone(), true).unwrap();
                is_well_formed(&runs);
                all.extend(range);
                let after = set(&runs);
                assert!(after.is_superset(&all));
                let told: BTreeSet<usize> = before.iter().copied().chain(added.into_iter().flatten()).collect();
                assert_eq!(told, after);
            }
        }
    }

    #[test]
    fn the_smallest_gaps_are_closed() {
        let mut runs = Runs::EMPTY;
        for i in 0..MAX_RUNS {
            runs.add(i * 100..i * 100 + 1, true);
        }
        // A gap of 9 pages before the new run, which is the smallest.
        let added = runs.add(510..511, true).unwrap();
        assert_eq!(added, [510..511, 501..510]);
        assert_eq!(runs.count(), MAX_RUNS);
        assert!(runs.contain(&(500..511)) && !runs.contain(&(500..512)));
        // Where no further run may be, the nearest grows.
        let mut two = Runs::one(0..1);
        two.add(10..11, true);
        assert_eq!(two.add(13..14, false), Some([13..14, 11..13]));
        assert_eq!(two.iter().collect::<Vec<_>>(), [0..1, 10..14]);
        assert_eq!(Runs::EMPTY.clone().add(1..2, false), None);
    }

    #[test]
    fn covering_takes_in_as_little_as_possible() {
        assert_eq!(Runs::covering(std::iter::empty()), Runs::EMPTY);
        assert_eq!(Runs::covering([3, 4, 5, 9].into_iter()).iter().collect::<Vec<_>>(), [3..6, 9..10]);
        // Gaps of 1, 2, 3, … pages: the widest fifteen stay.
        let pages: Vec<usize> = (0..20).scan(0, |at, i| Some(std::mem::replace(at, *at + i + 2))).collect();
        let runs = Runs::covering(pages.iter().copied());
        is_well_formed(&runs);
        assert_eq!(runs.count(), MAX_RUNS);
        assert!(pages.iter().all(|&page| runs.contain(&(page..page + 1))));
        assert_eq!(runs.pages(), 20 + (1..=4).sum::<usize>());
    }

    #[test]
    fn gaps_are_what_is_not_there() {
        let mut runs = Runs::one(2..4);
        runs.push(6..9);
        let gaps = |range| runs.gaps(range).collect::<Vec<_>>();
        assert_eq!(gaps(0..10), [0..2, 4..6, 9..10]);
        assert_eq!(gaps(3..7), [4..6]);
        assert_eq!(gaps(2..4), []);
        assert_eq!(gaps(5..5), []);
        assert_eq!(Runs::EMPTY.gaps(1..3).collect::<Vec<_>>(), [1..3]);
    }

    #[test]
    fn writes_in_order_take_in_more_and_more() {
        let mut runs = Runs::EMPTY;
        let mut faults = 0;
        for page in 0..1000 {
            if !runs.contain(&(page..page + 1)) {
                runs.add(runs.around(page), true);
                assert!(runs.contain(&(page..page + 1)));
                faults += 1;
            }
        }
        assert!(faults < 30, "{faults}");
        let mut runs = Runs::EMPTY;
        let mut faults = 0;
        for page in (0..1000).rev() {
            if !runs.contain(&(page..page + 1)) {
                runs.add(runs.around(page), true);
                assert!(runs.contain(&(page..page + 1)));
                faults += 1;
            }
        }
        assert!(faults < 30, "{faults}");
        assert_eq!(Runs::one(10..12).around(20), 20..21);
        assert_eq!(Runs::one(10..14).around(16), 14..20);
    }
}
