//! Damage: bytes that are nearly a module.

use crate::random::Random;

/// Damages a module in one to four places.
pub fn mutate(random: &mut Random, wasm: &mut Vec<u8>, other: &[u8]) {
    let times = if random.once_in(2) { 1 } else { 1 + random.below(4) };
    for _ in 0..times {
        if wasm.len() < 9 {
            return;
        }
        // The header is rarely of interest.
        let first = if random.once_in(50) { 0 } else { 8 };
        let at = first + random.below(wasm.len() - first);
        match random.below(10) {
            0 | 1 => wasm[at] ^= 1 << random.below(8),
            2 => wasm[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xff, 0x0b, 0x40, 0x70, 0x6f, 0xfc, 0x41, 0x10, 0x11]),
            3 => wasm[at] = random.next() as u8,
            4 => wasm.truncate(at),
            5 => {
                let len = 1 + random.below(8);
                let bytes = random.bytes(len);
                wasm.splice(at..at, bytes);
            }
            6 => {
                let end = (at + 1 + random.below(8)).min(wasm.len());
                wasm.drain(at..end);
            }
            7 => edit_number(random, wasm, at),
            8 => splice_sections(random, wasm, other),
            _ => {
                // A piece of another module, or of this one, in the place of as much.
                let from = if random.once_in(2) { wasm.clone() } else { other.to_vec() };
                let start = random.below(from.len());
                let len = (1 + random.below(40)).min(from.len() - start);
                let end = (at + len).min(wasm.len());
                wasm.splice(at..end, from[start..start + len].iter().copied());
            }
        }
    }
}

/// Puts another LEB128 number where one may be: an extreme one, or a longer form of a small one.
fn edit_number(random: &mut Random, wasm: &mut Vec<u8>, at: usize) {
    let end = (at..wasm.len()).find(|&i| wasm[i] < 0x80).map_or(wasm.len(), |i| i + 1);
    let value = *random.pick(&[0u64, 1, 127, 128, 255, 65_535, 65_536, 65_537, 0x7fff_ffff, 0xffff_ffff, u64::MAX]);
    let mut bytes = Vec::new();
    leb(&mut bytes, value);
    if random.once_in(3) {
        // Padding: the same number in more bytes.
        let padding = 1 + random.below(5);
        *bytes.last_mut().expect("a number has bytes") |= 0x80;
        bytes.extend(std::iter::repeat_n(0x80, padding - 1));
        bytes.push(0);
    }
    wasm.splice(at..end, bytes);
}

fn leb(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The sections of a module, as long as it has good ones: (id, contents).
fn sections(wasm: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = 8;
    while at < wasm.len() {
        let id = wasm[at];
        let (mut len, mut shift) = (0usize, 0);
        at += 1;
        loop {
            let Some(&byte) = wasm.get(at) else { return found };
            at += 1;
            len |= (byte as usize & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 || shift > 28 {
                break;
            }
        }
        let Some(contents) = wasm.get(at..at + len) else { return found };
        found.push((id, contents.to_vec()));
        at += len;
    }
    found
}

/// Exchanges, repeats, removes or borrows whole sections.
fn splice_sections(random: &mut Random, wasm: &mut Vec<u8>, other: &[u8]) {
    let (mut own, others) = (sections(wasm), sections(other));
    if own.is_empty() {
        return;
    }
    let (i, j) = (random.below(own.len()), random.below(own.len()));
    match random.below(4) {
        0 => own.swap(i, j),
        1 => own.insert(i, own[j].clone()),
        2 => drop(own.remove(i)),
        _ if !others.is_empty() => {
            let borrowed = random.pick(&others).clone();
            match own.iter_mut().find(|(id, _)| *id == borrowed.0) {
                Some(same) => *same = borrowed,
                None => own.insert(i, borrowed),
            }
        }
        _ => {}
    }
    wasm.truncate(8);
    for (id, contents) in own {
        wasm.push(id);
        leb(wasm, contents.len() as u64);
        wasm.extend(contents);
    }
}
