//! Signatures of texts: what is compared in place of them.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, FixedSizeBinaryBuilder, StringViewArray, StringViewBuilder,
    UInt16Array,
};
use arrow::datatypes::{DataType, Int64Type, UInt16Type, UInt32Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::Expr;
use genome_kernels::dedup::bands::BandPlan;
use genome_kernels::dedup::minhash::MinHasher;
use genome_kernels::dedup::shingle::{Shingle, Shingler};
use genome_kernels::dedup::survivors::in_scope;
use genome_kernels::dedup::{from_bytes, to_bytes};
use genome_kernels::text::normalize::{normalize, normalize_handles};
use genome_schemas::{KEY_BYTES, KeyDomain, KeyHasher, key_type};
use sha2::{Digest, Sha256};

use super::{array_function, binaries, keys, string_at, strings};
use crate::dedup::{Exact, Relation, TextHash};

static TEXTS: KeyDomain = KeyDomain::new("genome text");

/// A key that is equal for texts that count as the same in one scope; null where either is null, or the text is empty.
pub(crate) fn text_digest(text: Expr, scope: Expr, exact: Exact) -> Expr {
    let inputs = vec![DataType::Utf8View; 2];
    array_function(&format!("text_digest[{exact:?}]"), inputs, key_type(), move |args| {
        let (texts, scopes) = (strings(args, 0)?, strings(args, 1)?);
        let mut out = FixedSizeBinaryBuilder::with_capacity(texts.len(), 16);
        for row in 0..texts.len() {
            let (Some(text), Some(scope)) = (string_at(texts, row), string_at(scopes, row)) else {
                out.append_null();
                continue;
            };
            let form = exact.form(text);
            if form.is_empty() {
                out.append_null();
            } else {
                out.append_value(TEXTS.hasher().part(scope).part(form.as_ref()).finish().0)?;
            }
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![text, scope])
}

/// A number that stands for a scope: what is hashed with it is equal within one scope only.
pub(super) fn scope_number(scope: &str) -> u64 {
    KeyHasher::new("genome scope").part(scope).finish().seed()
}

impl Exact {
    /// What of a text is compared.
    fn form(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Raw => Cow::Borrowed(text),
            Self::Normalized => Cow::Owned(normalize(text)),
            Self::WithoutLinks => Cow::Owned(normalize_handles(text)),
        }
    }

    /// What of texts is compared, as a column; null for null. Texts of one form are the same by [`Exact::Raw`].
    pub(crate) fn forms(self, texts: Expr) -> Expr {
        if self == Self::Raw {
            return texts;
        }
        let name = format!("text_form[{self:?}]");
        array_function(&name, vec![DataType::Utf8View], DataType::Utf8View, move |args| {
            let texts = strings(args, 0)?;
            let mut out = StringViewBuilder::with_capacity(texts.len());
            for text in texts {
                out.append_option(text.map(|text| self.form(text)));
            }
            Ok(Arc::new(out.finish()) as ArrayRef)
        })
        .call(vec![texts])
    }
}

/// The digest of a form by a function that others use too, 32 bytes; null for null, and for one without content.
pub(crate) fn text_hash(form: Expr, hash: TextHash) -> Expr {
    let name = format!("text_hash[{hash:?}]");
    array_function(&name, vec![DataType::Utf8View], DataType::FixedSizeBinary(32), move |args| {
        let forms = strings(args, 0)?;
        let mut out = FixedSizeBinaryBuilder::with_capacity(forms.len(), 32);
        for form in forms {
            match form.filter(|form| !form.is_empty()) {
                Some(form) if hash == TextHash::Sha256 => {
                    out.append_value(Sha256::digest(form.as_bytes()))?;
                }
                Some(form) => out.append_value(blake3::hash(form.as_bytes()).as_bytes())?,
                None => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![form])
}

/// The set of shingles of a text, 4 bytes each; null for null and for a text shorter than a shingle.
pub(crate) fn shingles(text: Expr, shingle: Shingle) -> Expr {
    array_function(
        &format!("shingles[{shingle:?}]"),
        vec![DataType::Utf8View],
        DataType::Binary,
        move |args| {
            let texts = strings(args, 0)?;
            let mut shingler = Shingler::new(shingle);
            let (mut set, mut bytes) = (Vec::new(), Vec::new());
            let mut out = BinaryBuilder::with_capacity(texts.len(), texts.len() * 160);
            for text in texts {
                set.clear();
                if let Some(text) = text {
                    shingler.shingles(text, &mut set);
                }
                append(&mut out, &set, &mut bytes);
            }
            Ok(Arc::new(out.finish()) as ArrayRef)
        },
    )
    .call(vec![text])
}

/// The bands of a set of shingles in a scope, 4 bytes each; null where either is null.
pub(crate) fn bands(shingles: Expr, scope: Expr, plan: BandPlan) -> Expr {
    let name = format!("bands[{} x {}]", plan.bands, plan.rows);
    array_function(&name, vec![DataType::BinaryView, DataType::Utf8View], DataType::Binary, move |args| {
        let (sets, scopes) = (binaries(args, 0)?, strings(args, 1)?);
        let mut hasher = MinHasher::new(plan);
        // Most rows have the scope of the row before.
        let mut known: Option<(&str, u64)> = None;
        let (mut set, mut bands, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        let mut out = BinaryBuilder::with_capacity(sets.len(), sets.len() * 4 * plan.bands as usize);
        for row in 0..sets.len() {
            bands.clear();
            if let (true, Some(scope)) = (sets.is_valid(row), string_at(scopes, row)) {
                set.clear();
                set.extend(from_bytes(sets.value(row)));
                let number = match known {
                    Some((last, number)) if last == scope => number,
                    _ => scope_number(scope),
                };
                known = Some((scope, number));
                hasher.bands(&set, number, &mut bands);
            }
            append(&mut out, &bands, &mut bytes);
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![shingles, scope])
}

/// Sets of shingles as those of their scopes, see [`in_scope`]: texts of an index, too, meet those of one scope by it. Null
/// where either is null.
pub(crate) fn scoped_shingles(shingles: Expr, scope: Expr) -> Expr {
    let inputs = vec![DataType::BinaryView, DataType::Utf8View];
    array_function("shingles_in_scope", inputs, DataType::Binary, |args| {
        let (sets, scopes) = (binaries(args, 0)?, strings(args, 1)?);
        let (mut set, mut bytes) = (Vec::<u32>::new(), Vec::new());
        let mut out = BinaryBuilder::with_capacity(sets.len(), sets.len() * 160);
        for (shingles, scope) in sets.iter().zip(scopes) {
            set.clear();
            if let (Some(shingles), Some(scope)) = (shingles, scope) {
                set.extend(from_bytes(shingles));
                in_scope(&mut set, scope_number(scope));
            }
            append(&mut out, &set, &mut bytes);
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![shingles, scope])
}

fn append(out: &mut BinaryBuilder, numbers: &[u32], bytes: &mut Vec<u8>) {
    if numbers.is_empty() {
        out.append_null();
        return;
    }
    bytes.clear();
    bytes.extend(to_bytes(numbers));
    out.append_value(&bytes);
}

/// The bytes in whose order texts stay, as table `signatures` has them.
pub(crate) struct Precedence<'a>(&'a [u8]);

impl<'a> Precedence<'a> {
    const RANK: std::ops::Range<usize> = 8..10;
    const KEY: usize = 10;
    const AUTHOR: std::ops::Range<usize> = 42..50;
    const LEN: usize = 51;

    /// The bytes of a row.
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self> {
        let is_whole = bytes.len() == Self::LEN;
        is_whole
            .then_some(Self(bytes))
            .ok_or_else(|| DataFusionError::Internal("a precedence is cut off".to_owned()))
    }

    /// A number that stands for the author; none for nobody.
    pub(crate) fn author(&self) -> Option<NonZeroU64> {
        let author = self.0[Self::AUTHOR].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        NonZeroU64::new(author)
    }

    /// Whether the author is a program by its name.
    pub(crate) fn is_automation(&self) -> bool {
        self.0[Self::LEN - 1] & AUTOMATION != 0
    }

    /// Place in the config of the index whose text it is; none for those of the run.
    pub(crate) fn known(&self) -> Option<u16> {
        let rank = self.0[Self::RANK].iter().fold(0, |number, byte| number << 8 | u16::from(*byte));
        (self.0[Self::LEN - 1] & KNOWN != 0).then_some(rank)
    }
}

/// Bits of the last byte of a precedence.
const AUTOMATION: u8 = 1;
const KNOWN: u8 = 2;

/// The precedence of a text of the index of a number, from its key: it lies before that of every text of the run. Without a
/// number the precedence as it is.
pub(crate) fn known_precedence(precedence: Expr, key: Expr, index: Expr) -> Expr {
    let inputs = vec![DataType::BinaryView, key_type(), DataType::UInt16];
    array_function("known_precedence", inputs, DataType::Binary, move |args| {
        let wrong = || DataFusionError::Internal("the number of an index should be one".to_owned());
        let (all, keys) = (binaries(args, 0)?, keys(args, 1)?);
        let numbers = args[2].as_primitive_opt::<UInt16Type>().ok_or_else(wrong)?;
        let mut out = BinaryBuilder::with_capacity(all.len(), all.len() * Precedence::LEN);
        for (row, (bytes, number)) in all.iter().zip(numbers).enumerate() {
            let Some(number) = number else {
                out.append_option(bytes);
                continue;
            };
            // Zero is a time before that of every event; place and author of the text are nobody's business here.
            let mut known = [0; Precedence::LEN];
            known[Precedence::RANK].copy_from_slice(&number.to_be_bytes());
            known[Precedence::KEY..Precedence::KEY + KEY_BYTES].copy_from_slice(keys.value(row));
            known[Precedence::LEN - 1] = KNOWN;
            out.append_value(known);
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![precedence, key, index])
}

/// Place in the config of the index that a precedence is of; null for one of the run, and for null.
pub(crate) fn known_number(precedence: Expr) -> Expr {
    array_function("known_number", vec![DataType::BinaryView], DataType::UInt16, |args| {
        let numbers = binaries(args, 0)?.iter().map(|bytes| match bytes {
            Some(bytes) => Precedence::of(bytes).map(|precedence| precedence.known()),
            None => Ok(None),
        });
        Ok(Arc::new(numbers.collect::<Result<UInt16Array>>()?) as ArrayRef)
    })
    .call(vec![precedence])
}

/// What decides which of several texts stays, see [`genome_schemas::signatures`].
pub(crate) struct Standing {
    /// Microseconds; null comes last.
    pub(crate) at: Expr,
    /// Rank of the source, 0 for the most preferred one.
    pub(crate) preference: Expr,
    /// Key of the event.
    pub(crate) key: Expr,
    /// Key of its place.
    pub(crate) row: Expr,
    /// Who wrote it.
    pub(crate) author: Expr,
    /// Whether that is a program by its name.
    pub(crate) automation: Expr,
}

/// The bytes of a [`Standing`].
pub(crate) fn precedence(of: Standing) -> Expr {
    let inputs = vec![
        DataType::Int64,
        DataType::UInt16,
        key_type(),
        key_type(),
        DataType::Utf8View,
        DataType::Boolean,
    ];
    array_function("precedence", inputs, DataType::Binary, |args| {
        let wrong = || DataFusionError::Internal("`precedence` has arguments of other types".to_owned());
        let times = args[0].as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        let preferences = args[1].as_primitive_opt::<UInt16Type>().ok_or_else(wrong)?;
        let (keys, places, authors) = (keys(args, 2)?, keys(args, 3)?, strings(args, 4)?);
        let automation = args[5].as_boolean_opt().ok_or_else(wrong)?;
        let mut out = BinaryBuilder::with_capacity(times.len(), times.len() * Precedence::LEN);
        let mut bytes = Vec::with_capacity(Precedence::LEN);
        for row in 0..times.len() {
            bytes.clear();
            bytes.extend(time_bytes(times.is_valid(row).then(|| times.value(row))));
            bytes.extend(preferences.value(row).to_be_bytes());
            bytes.extend(keys.value(row));
            bytes.extend(places.value(row));
            bytes.extend(string_at(authors, row).map_or([0; 8], author_bytes));
            bytes.push(u8::from(automation.value(row)));
            out.append_value(&bytes);
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![of.at, of.preference, of.key, of.row, of.author, of.automation])
}

/// Where the key of the event stands in the bytes of [`version`].
const VERSION_KEY: usize = 9;

/// The bytes in whose order the versions of a record stay: first those that were not taken away, of these the one that
/// was retrieved last, then by key and place.
pub(crate) fn version(taken_away: Expr, retrieved_at: Expr, key: Expr, row: Expr) -> Expr {
    let inputs = vec![DataType::Boolean, DataType::Int64, key_type(), key_type()];
    array_function("version", inputs, DataType::Binary, |args| {
        let wrong = || DataFusionError::Internal("`version` has arguments of other types".to_owned());
        let taken_away = args[0].as_boolean_opt().ok_or_else(wrong)?;
        let times = args[1].as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        let (keys, places) = (keys(args, 2)?, keys(args, 3)?);
        let mut out = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for row in 0..times.len() {
            bytes.clear();
            bytes.push(u8::from(taken_away.value(row)));
            // Late times first, no time last.
            let time = times.is_valid(row).then(|| !times.value(row));
            bytes.extend(time_bytes(time));
            bytes.extend(keys.value(row));
            bytes.extend(places.value(row));
            out.append_value(&bytes);
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![taken_away, retrieved_at, key, row])
}

/// Key of the event that some bytes of [`version`] belong to.
pub(crate) fn version_key(version: Expr) -> Expr {
    key_inside("version_key", VERSION_KEY, version)
}

/// Key of the event that some bytes of [`precedence`] belong to.
pub(crate) fn precedence_key(precedence: Expr) -> Expr {
    key_inside("precedence_key", Precedence::KEY, precedence)
}

/// The key that stands in bytes from `start` on; null for null.
fn key_inside(name: &str, start: usize, bytes: Expr) -> Expr {
    array_function(name, vec![DataType::BinaryView], key_type(), move |args| {
        let all = binaries(args, 0)?;
        let mut out = FixedSizeBinaryBuilder::with_capacity(all.len(), 16);
        for bytes in all {
            match bytes {
                Some(bytes) => {
                    let key = bytes.get(start..start + KEY_BYTES);
                    let cut_off =
                        || DataFusionError::Internal(format!("`{start}` bytes are no place of a key"));
                    out.append_value(key.ok_or_else(cut_off)?)?;
                }
                None => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()) as ArrayRef)
    })
    .call(vec![bytes])
}

/// Eight bytes in whose order times are; none comes last.
fn time_bytes(time: Option<i64>) -> [u8; 8] {
    // The sign comes first in bytes, and set, it would sort as larger.
    time.map_or([u8::MAX; 8], |time| (time ^ i64::MIN).to_be_bytes())
}

fn author_bytes(author: &str) -> [u8; 8] {
    // Ids are keyed hashes in hex: the first 16 digits are as good as all.
    let head = author.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let hash = || KeyHasher::new("genome author").part(author).finish().seed();
    head.filter(|_| author.len() == 32).unwrap_or_else(hash).to_be_bytes()
}

/// Name of what a repeat is to the text that stays, from the precedences of the two and the number of nearly the same texts
/// that that one's author has: see [`crate::dedup::Relation`]. Null where either is null.
pub(crate) fn relation(survivor: Expr, repeat: Expr, own_repeats: Expr) -> Expr {
    let inputs = vec![DataType::BinaryView, DataType::BinaryView, DataType::UInt32];
    array_function("relation", inputs, DataType::Utf8View, |args| {
        let (survivors, repeats) = (binaries(args, 0)?, binaries(args, 1)?);
        let numbers = args[2].as_primitive_opt::<UInt32Type>();
        let numbers =
            numbers.ok_or_else(|| DataFusionError::Internal("`own_repeats` is no number".to_owned()))?;
        let name = |row: usize| {
            if survivors.is_null(row) || repeats.is_null(row) {
                return Ok(None);
            }
            let (survivor, repeat) =
                (Precedence::of(survivors.value(row))?, Precedence::of(repeats.value(row))?);
            if survivor.known().is_some() {
                return Ok(Some(Relation::Known.name()));
            }
            let is_own = survivor.author().is_some() && survivor.author() == repeat.author();
            let copies = if numbers.is_valid(row) { numbers.value(row) } else { 0 };
            let relation = Relation::of(is_own, survivor.is_automation() && repeat.is_automation(), copies);
            Ok(Some(relation.name()))
        };
        let names = (0..survivors.len()).map(name).collect::<Result<StringViewArray>>()?;
        Ok(Arc::new(names) as ArrayRef)
    })
    .call(vec![survivor, repeat, own_repeats])
}
