//! Packed streams that go on behind damage: frames of zstd, members of gzip.
//!
//! Such a stream gives one error where it is damaged, and after it what the next frame or member holds. An error that is
//! followed by the end of the stream was its last word.

use std::borrow::BorrowMut;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::GzDecoder;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

/// Pushshift's and Arctic Shift's dumps have windows of 2^31 bytes; libzstd refuses more than 2^27 unless told.
const MAX_WINDOW_LOG: u32 = 31;
/// Packed bytes read at once.
const INPUT_BYTES: usize = 128 << 10;
/// Consumed bytes that are kept for a search: at least the largest block of zstd, packed or not, and what is read at once.
const KEPT_BYTES: usize = 256 << 10;
/// The most that a block of zstd holds.
const BLOCK_BYTES: usize = 128 << 10;
/// The header of a block of zstd.
const HEADER_BYTES: usize = 3;
/// What is decompressed of gzip at once, and so the most that is lost before damage.
const STEP_BYTES: usize = 16 << 10;
/// A context with a larger window than is usual is not kept.
const MAX_KEPT_BYTES: usize = 160 << 20;

/// A decompression context that the large files of a partition use one after the other: its window, up to 128 MiB, is got
/// from the system once.
#[derive(Clone, Default)]
pub(in crate::sources) struct SpareContext(Arc<Mutex<Option<DCtx<'static>>>>);

impl SpareContext {
    /// The context, or a new one while another file has it.
    pub(super) fn take(&self) -> DCtx<'static> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.unwrap_or_else(DCtx::create)
    }

    pub(super) fn give_back(&self, context: DCtx<'static>) {
        if context.sizeof() <= MAX_KEPT_BYTES {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(context);
        }
    }
}

/// The frames of a zstd stream, skippable ones left out.
pub(super) struct Frames<C, R> {
    input: Searched<R>,
    context: C,
    state: State,
    /// Packed bytes that the library asked for.
    wanted: usize,
    /// Whether the library may hold more than there was room for.
    is_full: bool,
}

#[derive(PartialEq, Eq)]
enum State {
    /// Before the first byte of a frame.
    Before,
    Within,
    /// Behind damage that was told.
    Lost,
    Ended,
}

impl<C: BorrowMut<DCtx<'static>>, R: Read> Frames<C, R> {
    /// # Errors
    /// The library refuses its settings.
    pub(super) fn new(stream: R, mut context: C) -> io::Result<Self> {
        let dctx = context.borrow_mut();
        dctx.reset(ResetDirective::SessionAndParameters).map_err(failed)?;
        dctx.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(failed)?;
        let wanted = HEADER_BYTES;
        Ok(Self { input: Searched::new(stream), context, state: State::Before, wanted, is_full: false })
    }

    /// Decompresses one block at most; gives how many bytes, none where a header was read or more of a block is wanted.
    ///
    /// A call that fails loses what it had decompressed before, so none is given more than the rest of one block, and
    /// none while the library holds bytes of the block before.
    fn step(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.state == State::Before {
            self.input.begin();
        }
        let source = self.input.fill_buf()?;
        let is_end = source.is_empty();
        if is_end && self.state == State::Before {
            self.state = State::Ended;
            return Ok(0);
        }
        let given = if self.is_full { 0 } else { self.wanted.min(source.len()) };
        let room = buffer.len();
        let (mut packed, mut unpacked) = (InBuffer::around(&source[..given]), OutBuffer::around(buffer));
        let result = self.context.borrow_mut().decompress_stream(&mut unpacked, &mut packed);
        let (read, written) = (packed.pos(), unpacked.pos());
        let wanted = result.map_err(failed)?;
        self.input.consume(read);
        self.state = if wanted == 0 { State::Before } else { State::Within };
        // Where a block is next, the library asks for the header behind it too.
        self.wanted = if wanted > HEADER_BYTES { wanted - HEADER_BYTES } else { HEADER_BYTES };
        self.is_full = written == room;
        if is_end && written == 0 && self.state == State::Within {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last frame is not whole"));
        }
        Ok(written)
    }
}

fn failed(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}

impl<C: BorrowMut<DCtx<'static>>, R: Read> Read for Frames<C, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(BLOCK_BYTES);
        let mut is_told = self.state == State::Lost;
        loop {
            if self.state == State::Lost {
                self.context.borrow_mut().reset(ResetDirective::SessionOnly).map_err(failed)?;
                let found = self.input.search(&ZSTD_START)?;
                self.state = if found { State::Before } else { State::Ended };
                (self.wanted, self.is_full) = (HEADER_BYTES, false);
            }
            if self.state == State::Ended || most == 0 {
                return Ok(0);
            }
            match self.step(&mut buffer[..most]) {
                Ok(0) => {}
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    self.state = State::Lost;
                    if !std::mem::replace(&mut is_told, true) {
                        return Err(error);
                    }
                }
                read => return read,
            }
        }
    }
}

/// The members of a gzip stream.
pub(super) struct Members<R> {
    /// None at the end.
    decoder: Option<GzDecoder<Searched<R>>>,
    is_lost: bool,
}

impl<R: Read> Members<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { decoder: Some(GzDecoder::new(Searched::new(stream))), is_lost: false }
    }

    /// Begins the next member, if there is one.
    fn next(&mut self) -> io::Result<()> {
        let Some(decoder) = self.decoder.take() else { return Ok(()) };
        let mut input = decoder.into_inner();
        let is_there = if self.is_lost { input.search(&GZIP_START)? } else { !input.fill_buf()?.is_empty() };
        self.is_lost = false;
        if is_there {
            input.begin();
            self.decoder = Some(GzDecoder::new(input));
        }
        Ok(())
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(STEP_BYTES);
        let mut is_told = self.is_lost;
        loop {
            if self.is_lost {
                self.next()?;
            }
            let Some(decoder) = self.decoder.as_mut().filter(|_| most > 0) else { return Ok(0) };
            match decoder.read(&mut buffer[..most]) {
                Ok(0) => self.next()?,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    self.is_lost = true;
                    if !std::mem::replace(&mut is_told, true) {
                        return Err(error);
                    }
                }
                read => return read,
            }
        }
    }
}

/// Tells the first bytes of a frame or member from others.
struct Start {
    length: usize,
    begins: fn(&[u8]) -> bool,
}

/// Magic number, and a descriptor without reserved bits (RFC 8878, section 3.1.1).
const ZSTD_START: Start = Start {
    length: 5,
    begins: |head| matches!(head, [0x28, 0xb5, 0x2f, 0xfd, descriptor] if descriptor & 0b1_1000 == 0),
};

/// Magic number, deflate, no reserved flags, and values of the other fields that are in use (RFC 1952, section 2.3).
const GZIP_START: Start = Start {
    length: 10,
    begins: |head| matches!(head, [0x1f, 0x8b, 8, 0..0x20, _, _, _, _, 0 | 2 | 4, 0..=13 | 0xff]),
};

/// A stream in which the next frame can be searched behind damage.
///
/// Damage is noticed late: a wrong length makes a decoder take what follows for a part of its block. So the last bytes
/// that were consumed are kept, and searched too.
struct Searched<R> {
    stream: R,
    buffer: Vec<u8>,
    /// The part of the buffer that was not consumed.
    start: usize,
    end: usize,
    /// Where a search begins: behind the first byte of the frame at hand, or with the buffer.
    from: usize,
    /// Whether the stream could not be read further.
    has_failed: bool,
}

impl<R: Read> Searched<R> {
    fn new(stream: R) -> Self {
        let buffer = vec![0; KEPT_BYTES + INPUT_BYTES];
        let mut searched = Self { stream, buffer, start: 0, end: 0, from: 0, has_failed: false };
        searched.begin();
        searched
    }

    /// Notes that a frame begins here.
    fn begin(&mut self) {
        self.from = self.start + 1;
    }

    /// Goes on to the next place behind the start of the frame at hand that looks like one; false if there is none.
    fn search(&mut self, start: &Start) -> io::Result<bool> {
        self.start = self.from.min(self.end);
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(at) = unread.windows(start.length).position(start.begins) {
                self.start += at;
                return Ok(true);
            }
            self.start = self.start.max((self.end + 1).saturating_sub(start.length));
            if self.fill()? == 0 {
                return Ok(false);
            }
        }
    }

    /// Reads more behind what is there; gives how many bytes. A stream that fails has ended.
    fn fill(&mut self) -> io::Result<usize> {
        if self.has_failed {
            return Ok(0);
        }
        if self.end == self.buffer.len() {
            let gone = self.start.saturating_sub(KEPT_BYTES);
            self.buffer.copy_within(gone..self.end, 0);
            (self.start, self.end) = (self.start - gone, self.end - gone);
            self.from = self.from.saturating_sub(gone);
        }
        loop {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.has_failed = read.is_err();
                    self.end += *read.as_ref().unwrap_or(&0);
                    return read;
                }
            }
        }
    }
}

impl<R: Read> BufRead for Searched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        self.start += amount;
    }
}

impl<R: Read> Read for Searched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

/// A stream that ends at its first error: nothing that a decoder gives after one can be trusted.
pub(in crate::sources) struct Fused<R>(Option<R>);

impl<R> Fused<R> {
    pub(in crate::sources) fn new(stream: R) -> Self {
        Self(Some(stream))
    }
}

impl<R: Read> Read for Fused<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.0 else { return Ok(0) };
        let read = stream.read(buffer);
        if read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.0 = None;
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::tests::{gzip as member, numbers, zstd};

    /// What a stream gives: its bytes, with a `!` where it gave an error.
    fn all(mut stream: impl Read) -> Vec<u8> {
        let (mut given, mut buffer) = (Vec::new(), vec![0; 1000]);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return given,
                Ok(n) => given.extend_from_slice(&buffer[..n]),
                Err(_) => given.push(b'!'),
            }
        }
    }

    fn frame(bytes: &[u8]) -> Vec<u8> {
        zstd(bytes, 20)
    }

    fn frames(bytes: &[u8]) -> Vec<u8> {
        all(Frames::new(bytes, DCtx::create()).unwrap())
    }

    fn members(bytes: &[u8]) -> Vec<u8> {
        all(Members::new(bytes))
    }

    #[test]
    fn what_stands_behind_damage_is_read() {
        for (pack, unpack) in
            [(frame as fn(&[u8]) -> Vec<u8>, frames as fn(&[u8]) -> Vec<u8>), (member, members)]
        {
            let (first, second, third) = (pack(b"first "), pack(&[b'x'; 300]), pack(b"third"));
            let mut damaged = first.clone();
            damaged[first.len() - 1] ^= 0x55;
            let given = unpack(&[&damaged[..], &third].concat());
            assert!(given == b"!third" || given == b"first !third", "{given:?}");
            let whole = [&first[..], &second, &third].concat();
            assert_eq!(unpack(&whole), [&b"first "[..], &[b'x'; 300], b"third"].concat());
            // Every byte of the second one in turn.
            for at in 0..second.len() {
                let mut broken = whole.clone();
                broken[first.len() + at] ^= 0x55;
                let given = unpack(&broken);
                assert!(given.starts_with(b"first ") && given.ends_with(b"third"), "{at}: {given:?}");
                assert!(given.split(|byte| *byte == b'!').count() <= 2, "{at}: {given:?}");
            }
            // A start that leads nowhere stands in the damage.
            let garbage = [&first[..], b"garbage", &third[..6], b"more garbage", &third].concat();
            assert_eq!(unpack(&garbage), b"first !third");
            let cut = &whole[..whole.len() - 3];
            assert!(unpack(cut).ends_with(b"!"), "{:?}", unpack(cut));
        }
    }

    #[test]
    fn what_comes_before_damage_is_given() {
        let (lines, last) = (numbers(0..400_000), numbers(0..40_000));
        for (pack, unpack, lost) in [
            (frame as fn(&[u8]) -> Vec<u8>, frames as fn(&[u8]) -> Vec<u8>, BLOCK_BYTES),
            (member, members, STEP_BYTES),
        ] {
            let whole = pack(&lines);
            let at = whole.len() * 3 / 4;
            // What can be had of the whole blocks before a cut there.
            let given = unpack(&whole[..at]);
            let before = given.strip_suffix(b"!").unwrap();
            assert!(
                lines.starts_with(before) && before.len() * 4 + 5 * lost > lines.len() * 3,
                "{}",
                before.len()
            );
            // The frame begins long before the bytes that are kept of it, and the next one stands right behind.
            let mut damaged = whole.clone();
            damaged[at..at + 8].fill(0xff);
            let given = unpack(&[&damaged[..], &pack(&last)].concat());
            assert!(given.starts_with(&before[..before.len() - lost]) && given.ends_with(&last));
        }
    }

    #[test]
    fn a_frame_that_lacks_its_checksum_gives_all_blocks() {
        let lines = numbers(0..100_000);
        let packed = frame(&lines);
        assert_eq!(frames(&packed[..packed.len() - 4]), [&lines[..], b"!"].concat());
    }

    #[test]
    fn a_stream_that_fails_has_ended() {
        struct Fails<'a>(&'a [u8], usize);
        impl Read for Fails<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() {
                    self.1 += 1;
                    assert_eq!(self.1, 1, "it is not asked again");
                    return Err(io::Error::other("gone"));
                }
                self.0.read(buffer)
            }
        }
        let packed = frame(b"first");
        let cut = &packed[..packed.len() - 6];
        assert!(all(Frames::new(Fails(cut, 0), DCtx::create()).unwrap()).ends_with(b"!"));
        assert!(all(Members::new(Fails(&member(b"first")[..12], 0))).ends_with(b"!"));
    }

    #[test]
    fn a_context_is_used_again() {
        let spare = SpareContext::default();
        for bytes in [&b"one"[..], b"two", b"three"] {
            let mut context = spare.take();
            assert_eq!(all(Frames::new(&frame(bytes)[..2], &mut context).unwrap()), b"!");
            assert_eq!(all(Frames::new(&frame(bytes)[..], &mut context).unwrap()), bytes);
            spare.give_back(context);
            assert!(spare.0.lock().unwrap().is_some());
        }
    }
}
