//! bzip2 block by block. Each block is decoded by itself, so that damage in one costs no other, and nothing is passed on
//! before its checksum was held against it.
//!
//! The format is that of bzip2 1.0: streams, one behind the other, of a header (`BZh1` to `BZh9`), blocks, each of which begins
//! at any bit with 48 fixed bits and a checksum, 48 fixed bits behind the last one, and a checksum of all, filled up to a
//! byte.

use std::io::{self, Read};

use bzip2::{Decompress, Status};

/// Packed bytes read at once.
const INPUT_BYTES: usize = 128 << 10;
/// More than a block takes packed: its 900,000 bytes at most, if nothing makes them smaller, and a little.
const MAX_PACKED_BYTES: usize = 2 << 20;
/// What most blocks give.
const UNPACKED_BYTES: usize = 1 << 20;

const HEADER_BYTES: usize = 4;
const MARK_BITS: usize = 48;
const BLOCK_MARK: u64 = 0x3141_5926_5359;
const END_MARK: u64 = 0x1772_4538_5090;
const CHECKSUM_BITS: usize = 32;

/// What begins at a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Block,
    /// The end of a stream.
    End,
}

/// Where reading stands.
#[derive(Clone, Copy)]
enum Place {
    /// Before the header of a stream, or at the end.
    Header,
    /// At a mark, by its first bit in the packed bytes.
    At(usize, Mark),
    /// Behind damage.
    Lost,
    Ended,
}

/// What decoding a block gave.
#[derive(PartialEq, Eq)]
enum Decoded {
    Whole,
    /// The block, behind which something stands that is none.
    AndMore,
    Damaged,
}

/// The blocks of a bzip2 file. Between what is given before damage and what is given behind it there is one error.
pub(super) struct Blocks<R> {
    input: R,
    has_ended: bool,
    packed: Vec<u8>,
    place: Place,
    /// The checksum of the blocks of this stream; none if one of them was lost.
    checksum: Option<u32>,
    unpacked: Vec<u8>,
    given: usize,
    /// An error that comes behind what is unpacked.
    owed: Option<io::Error>,
    /// Whether nothing was given since the last error.
    is_told: bool,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            has_ended: false,
            packed: Vec::new(),
            place: Place::Header,
            checksum: None,
            unpacked: Vec::new(),
            given: 0,
            owed: None,
            is_told: false,
        }
    }

    /// Reads on; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.has_ended {
            return Ok(false);
        }
        let length = self.packed.len();
        self.packed.resize(length + INPUT_BYTES, 0);
        let read = loop {
            match self.input.read(&mut self.packed[length..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let n = *read.as_ref().unwrap_or(&0);
        self.packed.truncate(length + n);
        self.has_ended = n == 0;
        read.map(|n| n > 0)
    }

    /// Whether there are as many packed bytes.
    fn has(&mut self, bytes: usize) -> io::Result<bool> {
        while self.packed.len() < bytes {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes to a mark.
    fn go_to(&mut self, (at, mark): (usize, Mark)) {
        self.packed.drain(..at / 8);
        self.place = Place::At(at % 8, mark);
    }

    /// Goes on with the next mark from a bit on, wherever it is.
    fn give_up(&mut self, from: usize) {
        self.packed.drain(..self.packed.len().min(from / 8));
        (self.place, self.checksum) = (Place::Lost, None);
    }

    fn step(&mut self) -> io::Result<()> {
        match self.place {
            Place::Header => self.header(),
            Place::At(at, Mark::Block) => self.block(at),
            Place::At(at, Mark::End) => self.end(at),
            Place::Lost => self.search(),
            Place::Ended => Ok(()),
        }
    }

    fn header(&mut self) -> io::Result<()> {
        if !self.has(1)? {
            self.place = Place::Ended;
            return Ok(());
        }
        self.has(HEADER_BYTES + MARK_BITS / 8)?;
        if let [b'B', b'Z', b'h', b'1'..=b'9', behind @ ..] = &self.packed[..] {
            let behind = &behind[..behind.len().min(MARK_BITS / 8)];
            if let Some((0, mark)) = find(behind, 0) {
                self.checksum = Some(0);
                self.go_to((HEADER_BYTES * 8, mark));
                return Ok(());
            }
        }
        self.give_up(0);
        Err(damaged("no stream begins here"))
    }

    fn search(&mut self) -> io::Result<()> {
        loop {
            if let Some(found) = find(&self.packed, 0) {
                self.go_to(found);
                return Ok(());
            }
            let looked_at = self.packed.len().saturating_sub(MARK_BITS / 8);
            self.packed.drain(..looked_at);
            if !self.fill()? {
                self.place = Place::Ended;
                return Ok(());
            }
        }
    }

    fn block(&mut self, at: usize) -> io::Result<()> {
        let content = at + MARK_BITS;
        let mut first = None;
        let mut from = content;
        // The bits of a mark can stand within a block by chance; then it goes on to the next one.
        for _ in 0..2 {
            let found = self.mark_behind(from)?;
            let end = found.map_or(self.packed.len() * 8, |(at, _)| at);
            match self.decode(at, end) {
                Decoded::Damaged => {}
                decoded => {
                    let checksum = number(&self.packed, content, CHECKSUM_BITS);
                    self.checksum = self.checksum.map(|all| all.rotate_left(1) ^ checksum);
                    match found {
                        Some(found) => self.go_to(found),
                        None => self.give_up(end.saturating_sub(MARK_BITS)),
                    }
                    if decoded == Decoded::AndMore || found.is_none() {
                        self.checksum = None;
                        self.owed = Some(damaged("what follows a block is none"));
                    }
                    return Ok(());
                }
            }
            let Some((mark, _)) = found else { break };
            first = first.or(found);
            from = mark + MARK_BITS;
        }
        self.unpacked.clear();
        match first {
            Some(first) => self.go_to(first),
            None => self.give_up(content + 7),
        }
        self.checksum = None;
        Err(damaged("a block is damaged or cut off"))
    }

    /// The first mark from a bit on that is not farther than a block is long.
    fn mark_behind(&mut self, mut from: usize) -> io::Result<Option<(usize, Mark)>> {
        loop {
            let found = find(&self.packed, from);
            if found.is_some() || self.packed.len() > MAX_PACKED_BYTES {
                return Ok(found);
            }
            from = from.max((self.packed.len() * 8).saturating_sub(MARK_BITS - 1));
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Decodes the block that stands between two bits.
    fn decode(&mut self, at: usize, end: usize) -> Decoded {
        if end < at + MARK_BITS + CHECKSUM_BITS {
            return Decoded::Damaged;
        }
        let checksum = number(&self.packed, at + MARK_BITS, CHECKSUM_BITS);
        let stream = stream_of(&self.packed, at, end, checksum);
        self.unpacked.clear();
        let mut decoder = Decompress::new(false);
        loop {
            if self.unpacked.len() == self.unpacked.capacity() {
                self.unpacked.reserve(UNPACKED_BYTES);
            }
            let before = (decoder.total_in(), decoder.total_out());
            let rest =
                usize::try_from(before.0).ok().and_then(|taken| stream.get(taken..)).unwrap_or_default();
            match decoder.decompress_vec(rest, &mut self.unpacked) {
                Ok(Status::StreamEnd) => return Decoded::Whole,
                Ok(_) if (decoder.total_in(), decoder.total_out()) != before => {}
                _ if !self.unpacked.is_empty() && checksum_of(&self.unpacked) == checksum => {
                    return Decoded::AndMore;
                }
                _ => return Decoded::Damaged,
            }
        }
    }

    fn end(&mut self, at: usize) -> io::Result<()> {
        let behind = (at + MARK_BITS + CHECKSUM_BITS).div_ceil(8);
        if !self.has(behind)? {
            self.give_up(behind * 8);
            return Err(damaged("the end is cut off"));
        }
        let checksum = number(&self.packed, at + MARK_BITS, CHECKSUM_BITS);
        self.packed.drain(..behind);
        self.place = Place::Header;
        match self.checksum.take() {
            Some(of_blocks) if of_blocks != checksum => Err(damaged("a block is missing")),
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Blocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let unread = &self.unpacked[self.given..];
            if !unread.is_empty() || buffer.is_empty() {
                let n = unread.len().min(buffer.len());
                buffer[..n].copy_from_slice(&unread[..n]);
                self.given += n;
                self.is_told &= n == 0;
                return Ok(n);
            }
            self.unpacked.clear();
            self.given = 0;
            let stepped = match self.owed.take() {
                Some(error) => Err(error),
                None if matches!(self.place, Place::Ended) => return Ok(0),
                None => self.step(),
            };
            if stepped.is_err() && !std::mem::replace(&mut self.is_told, true) {
                return stepped.map(|()| 0);
            }
        }
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The first mark that begins at a bit from `from` on.
fn find(bytes: &[u8], from: usize) -> Option<(usize, Mark)> {
    let mut last = 0_u64;
    for (at, &byte) in bytes.iter().enumerate().skip(from / 8) {
        last = last << 8 | u64::from(byte);
        // The byte before lies within the mark wherever that begins.
        if !MAY_BE_LAST_BUT_ONE[usize::from(last.to_le_bytes()[1])] {
            continue;
        }
        for behind in (0..8).rev() {
            let mark = match last >> behind & ((1 << MARK_BITS) - 1) {
                BLOCK_MARK => Mark::Block,
                END_MARK => Mark::End,
                _ => continue,
            };
            let begins = ((at + 1) * 8 - behind).checked_sub(MARK_BITS).filter(|begins| *begins >= from);
            if let Some(begins) = begins {
                return Some((begins, mark));
            }
        }
    }
    None
}

/// Bytes that can be the last but one that a mark has a part in.
static MAY_BE_LAST_BUT_ONE: [bool; 256] = {
    let mut may = [false; 256];
    let mut behind = 0;
    while behind < 8 {
        may[(BLOCK_MARK >> (8 - behind)).to_le_bytes()[0] as usize] = true;
        may[(END_MARK >> (8 - behind)).to_le_bytes()[0] as usize] = true;
        behind += 1;
    }
    may
};

/// The number that `len` bits from `at` on are, 32 at most.
fn number(bytes: &[u8], at: usize, len: usize) -> u32 {
    let bits = bytes[at / 8..(at + len).div_ceil(8)].iter();
    let all = bits.fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    let behind = (at + len).div_ceil(8) * 8 - (at + len);
    let [.., a, b, c, d] = (all >> behind & ((1 << len) - 1)).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// A stream of the one block between two bits.
fn stream_of(packed: &[u8], at: usize, end: usize, checksum: u32) -> Vec<u8> {
    let mut stream = Vec::with_capacity((end - at) / 8 + 20);
    // The largest size holds blocks of every size.
    stream.extend_from_slice(b"BZh9");
    let (first, shift) = (at / 8, at % 8);
    let whole = (end - at) / 8;
    stream.extend((first..first + whole).map(|at| {
        let next = packed.get(at + 1).copied().unwrap_or_default();
        (u16::from_be_bytes([packed[at], next]) << shift).to_be_bytes()[0]
    }));
    // The last bits, the mark of the end, the checksum, and zeros up to a byte.
    let n_bits = (end - at) % 8;
    let bits = if n_bits == 0 { 0 } else { number(packed, end - n_bits, n_bits) };
    let tail = u128::from(bits) << (MARK_BITS + CHECKSUM_BITS)
        | u128::from(END_MARK) << CHECKSUM_BITS
        | u128::from(checksum);
    let tail = tail << (128 - n_bits - MARK_BITS - CHECKSUM_BITS);
    stream.extend_from_slice(&tail.to_be_bytes()[..(n_bits + MARK_BITS + CHECKSUM_BITS).div_ceil(8)]);
    stream
}

/// The checksum that bzip2 keeps of a block: CRC-32, but of the bits of each byte from the highest on.
fn checksum_of(bytes: &[u8]) -> u32 {
    let turned: Vec<u8> = bytes.iter().map(|byte| byte.reverse_bits()).collect();
    crc32fast::hash(&turned).reverse_bits()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bzip2::Compression;
    use bzip2::write::BzEncoder;

    use super::*;
    use crate::sources::tests::numbers;

    fn pack(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = BzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Gives a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            self.0.read(&mut buffer[..most])
        }
    }

    /// What the blocks give: the parts between the errors.
    fn parts_of(packed: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut blocks = Blocks::new(Drip(packed, step));
        let (mut parts, mut buffer) = (vec![Vec::new()], vec![0; 70_000]);
        loop {
            match blocks.read(&mut buffer) {
                Ok(0) => return parts,
                Ok(n) => parts.last_mut().unwrap().extend_from_slice(&buffer[..n]),
                Err(_) => parts.push(Vec::new()),
            }
        }
    }

    #[test]
    fn whole_files_give_what_was_packed() {
        let mut first = numbers(0..30_000);
        first.extend(vec![b'x'; 1_000_000]);
        let second = b"one more";
        for level in [1, 5, 9] {
            for (packed, expected) in [
                (pack(&first, level), first.clone()),
                (pack(b"", level), Vec::new()),
                (
                    [pack(&first, level), pack(b"", 9), pack(second, 9)].concat(),
                    [&first[..], second].concat(),
                ),
            ] {
                for step in [101, 10_007, usize::MAX] {
                    assert!(parts_of(&packed, step) == [expected.clone()], "level {level}, {step} at a time");
                }
            }
        }
    }

    #[test]
    fn damage_costs_the_blocks_that_it_touches() {
        // Four blocks of 100,000 bytes and a stream of its own.
        let (lines, last) = (numbers(0..39_000), b"the last stream");
        assert!((300_000..400_000).contains(&lines.len()), "{}", lines.len());
        let stream = pack(&lines, 1);
        let whole = [&stream[..], &pack(last, 9)].concat();
        let marks: Vec<usize> = std::iter::successors(find(&stream, 0), |(at, _)| find(&stream, at + 1))
            .map(|(at, _)| at / 8)
            .collect();
        assert_eq!(marks.len(), 5);
        let in_blocks = (0..20).map(|n| 4 + n * (stream.len() - 20) / 20);
        for at in in_blocks.chain(marks.iter().flat_map(|mark| mark + 1..mark + 11)) {
            let mut broken = whole.clone();
            broken[at] ^= 0x55;
            let parts = parts_of(&broken, usize::MAX);
            let given = parts.concat();
            assert!(parts.len() == 2 || parts.len() == 3, "{at}: {} parts", parts.len());
            assert!(parts.last().unwrap().ends_with(last), "{at}");
            assert!(lines.starts_with(&parts[0]), "{at}: garbage is passed on");
            let rest = given[parts[0].len()..].strip_suffix(last).unwrap();
            assert!(lines.ends_with(rest), "{at}: garbage is passed on behind the damage");
            assert!(
                given.len() + 100_000 >= lines.len() + last.len(),
                "{at}: {} of {}",
                given.len(),
                lines.len()
            );
        }
        // Two blocks beside each other.
        let mut broken = whole.clone();
        broken[marks[1] + 100] ^= 0x55;
        broken[marks[2] + 100] ^= 0x55;
        let parts = parts_of(&broken, usize::MAX);
        assert!(parts.len() == 2 && lines.starts_with(&parts[0]) && parts[1].ends_with(last));
        assert!(parts.concat().len() > 90_000, "{}", parts.concat().len());
        for cut in [1, 5, 9, marks[2] + 3, stream.len() - 3, whole.len() - 1] {
            let parts = parts_of(&whole[..cut], usize::MAX);
            assert!(
                parts.len() == 2 && parts[1].is_empty() && lines.starts_with(&parts[0]) || cut > stream.len()
            );
        }
        assert!(parts_of(b"BZh9 and nothing else", 3).concat().is_empty());
        assert_eq!(parts_of(&[&pack(last, 1)[..], b"garbage"].concat(), 3), [&last[..], b""]);
    }

    #[test]
    fn the_bits_of_a_mark_can_stand_in_a_block() {
        // A block begins with a map of the bytes that occur in it, sixteen bits for each group of sixteen bytes.
        let map = [0x3141_u16, 0x5926, 0x5359];
        let occurring: Vec<u8> =
            (0..48_u8).filter(|byte| map[usize::from(byte / 16)] << (byte % 16) >> 15 == 1).collect();
        // No byte like the one before: four in a row have a count behind them, which is another byte.
        let mut at = 0;
        let next = |digit: &u8| {
            at = (at + 1 + usize::from(digit - b'0')) % occurring.len();
            occurring[at]
        };
        let bytes: Vec<u8> = numbers(0..20_000).iter().map(next).collect();
        let packed = pack(&bytes, 1);
        let n_marks = std::iter::successors(find(&packed, 0), |(at, _)| find(&packed, at + 1)).count();
        assert_eq!(n_marks, 5, "two blocks, each with such a map, and an end");
        assert!(parts_of(&packed, 1000) == [bytes]);
    }

    #[test]
    fn numbers_are_read_from_any_bit() {
        let bytes = [0b1010_0101, 0b1111_0000, 0b0000_1111, 0, 0xff];
        for at in 0..8 {
            for len in 1..=32 {
                let bit = |at: usize| u32::from(bytes[at / 8] >> (7 - at % 8) & 1);
                let expected = (at..at + len).fold(0, |all, at| all << 1 | bit(at));
                assert_eq!(number(&bytes, at, len), expected, "{len} from {at}");
            }
        }
    }
}
