//! Phone numbers.

use std::ops::Range;

use super::plans::{Evidence, FORMS, Form, country, is_area_code, is_north_american, is_trunk, starts_with};
use super::scan::{
    self, Gap, Group, digits, is_before_slash, is_behind_hash, is_behind_slash, joins_word, said_before,
    stands_alone_before,
};

/// Words that announce a phone number.
const PHONE_WORDS: [&str; 50] = [
    "call",
    "calls",
    "called",
    "calling",
    "phone",
    "phones",
    "telephone",
    "tel",
    "tele",
    "cell",
    "cellphone",
    "mobile",
    "mob",
    "fax",
    "text",
    "txt",
    "sms",
    "whatsapp",
    "viber",
    "signal",
    "ring",
    "dial",
    "ph",
    "landline",
    "hotline",
    "telefon",
    "telefonnummer",
    "handy",
    "handynummer",
    "mobil",
    "rufnummer",
    "anrufen",
    "tél",
    "téléphone",
    "telephone",
    "portable",
    "appelez",
    "teléfono",
    "telefono",
    "móvil",
    "movil",
    "llama",
    "cellulare",
    "telefoon",
    "mobiel",
    "telefone",
    "celular",
    "ligue",
    "тел",
    "телефон",
];

/// Nouns that announce one so surely that any grouping will do.
const NOUNS: [&str; 18] = [
    "phone",
    "telephone",
    "tel",
    "cell",
    "cellphone",
    "mobile",
    "fax",
    "whatsapp",
    "sms",
    "telefon",
    "telefonnummer",
    "handynummer",
    "téléphone",
    "teléfono",
    "telefono",
    "telefone",
    "telefoon",
    "телефон",
];

/// Words that announce one in scripts without blanks.
const UNSPACED_WORDS: [&str; 5] = ["电话", "手机", "電話", "携帯", "전화"];

/// What may stand between such a word and the number: signs, `number`, and particles.
const UNSPACED_LINKS: &str = "号码號碼是为為番のは번호는은：: ";

/// The phone number that starts with the first of `groups`, which go on to the end of `text`.
pub(super) fn phone(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    let first = groups.first()?;
    let before = &text[..first.start];
    let found = if before.ends_with(['+', '\u{ff0b}']) || before.ends_with("+(") || before.ends_with("+ (") {
        international(text, groups, 0)
    } else if first.len() > 15 || scan::is_in_word(text, first.start) {
        None
    } else {
        call_prefix(text, groups)
            .or_else(|| north_american(text, groups))
            .or_else(|| trunk(text, groups))
            .or_else(|| FORMS.iter().find_map(|form| national(text, groups, form)))
            .or_else(|| announced(text, groups))
    };
    // `(+63 2) 812 2016`: the bracket before the sign belongs to it.
    found.map(|range| {
        let unopened = text[range.clone()].matches(')').count() > text[range.clone()].matches('(').count();
        let open = usize::from(unopened && text[..range.start].ends_with('('));
        range.start - open..extension_end(text, range.end)
    })
}

/// `+44 20 7946 0123`; `skip`: digits before the country code.
fn international(text: &str, groups: &[Group], skip: usize) -> Option<Range<usize>> {
    let first = groups.first()?;
    let sign = if skip > 0 { first.start } else { text[..first.start].rfind(['+', '\u{ff0b}'])? };
    if !stands_alone_before(text, sign, false) {
        return None;
    }
    let chain = chain(groups, 7);
    let all = digits(text, chain);
    let (code_len, fewest, most, zero_led) = country(all.get(skip..)?)?;
    let mut n_before = 0;
    let mut best = None;
    for (at, group) in chain.iter().enumerate() {
        n_before += group.len();
        // A zero for calls inside the country, in brackets or not, does not count.
        let number = all.get(skip + code_len..n_before).unwrap_or_default();
        let number = if zero_led { number } else { number.strip_prefix(&[0]).unwrap_or(number) };
        if number.len() > most {
            break;
        }
        let fits = number.len() >= fewest
            && (zero_led || number[0] != 0)
            && (all[skip] != 1 || is_north_american(number))
            && !is_round(number);
        if fits && stands_alone_after(text, group.end, false) && closed(text, chain, at) {
            best = Some(sign..group.end);
        }
    }
    best
}

/// `0049 30 …`, `011 44 …`: what is dialled before a country code.
fn call_prefix(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    let first = groups.first()?;
    let written = &text[first.start..first.end];
    let skip = if written == "011" {
        3
    } else if written.starts_with("00") && !written.starts_with("000") {
        2
    } else {
        return None;
    };
    let apart = first.len() <= 5 && first.gap != Gap::Far;
    let meant = apart || is_said(text, first.start, 3);
    if meant { international(text, groups, skip) } else { None }
}

/// `(212) 555-0147`, `1-212-555-0147`, `212.555.0147`.
fn north_american(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    let lead = &text[groups[0].start..groups[0].end];
    let has_lead = matches!(lead, "1" | "001");
    let number = if has_lead { groups.get(1..)? } else { groups };
    if has_lead && groups[0].gap == Gap::Far {
        return None;
    }
    let n_groups = match *number {
        [Group { end, start, gap: Gap::Far | Gap::Space }, ..] if end - start == 10 => 1,
        [a, b, c, ..] if (a.len(), b.len(), c.len()) == (3, 3, 4) => 3,
        [a, b, ..] if (a.len(), b.len()) == (3, 7) => 2,
        _ => return None,
    };
    let parts = number.get(..n_groups)?;
    let (last, inner) = parts.split_last()?;
    let bracketed = text[..parts[0].start].ends_with('(') && parts[0].gap == Gap::Close;
    let tight = |group: &Group| matches!(group.gap, Gap::Dash | Gap::Dot | Gap::Space);
    if !inner
        .iter()
        .enumerate()
        .all(|(at, group)| tight(group) || at == 0 && (bracketed || group.gap == Gap::Slash))
    {
        return None;
    }
    let ten = digits(text, parts);
    if !is_north_american(&ten) {
        return None;
    }
    let start = if has_lead { groups[0].start } else { parts[0].start - usize::from(bracketed) };
    let said = is_said(text, start, 4);
    let firm = bracketed || inner.iter().any(|group| matches!(group.gap, Gap::Dash | Gap::Dot));
    let known = is_area_code(&ten) && !is_round(&ten[3..]);
    let sure = match n_groups {
        3 => firm || known || said,
        2 => bracketed || said || firm && known,
        _ => said && known,
    };
    let spaced = !firm && !said;
    // `Cell(212) 555-0147`: the bracket sets the number apart from a word.
    let set_apart = bracketed && !has_lead && text[..start].ends_with(char::is_alphabetic);
    let alone_before = set_apart
        || firm && is_behind_slash(text, start)
        || is_hashed(text, start)
        || stands_alone_before(text, start, spaced);
    let alone_after = firm && is_before_slash(text, last.end) || stands_alone_after(text, last.end, spaced);
    (sure && alone_before && alone_after).then_some(start..last.end)
}

/// `020 7946 0123`, `01 99 00 12 34`, `030/23125-456`: a zero before the area.
fn trunk(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    if text.as_bytes()[groups[0].start] != b'0' {
        return None;
    }
    let chain = chain(groups, 5);
    // The longest form that fits: the rest of a number is not left behind.
    (1..=chain.len()).rev().find_map(|n| {
        let parts = &chain[..n];
        let (last, inner) = parts.split_last()?;
        let bracketed = text[..parts[0].start].ends_with('(') && parts[0].gap == Gap::Close;
        let joint = inner.get(1).map(|group| group.gap);
        let even = inner.iter().skip(1).all(|group| Some(group.gap) == joint)
            && inner.iter().skip(1).all(|group| matches!(group.gap, Gap::Space | Gap::Dash | Gap::Dot));
        let starts = inner.first().is_none_or(|group| {
            matches!(group.gap, Gap::Space | Gap::Dash | Gap::Dot | Gap::Slash) || bracketed
        });
        if !even
            || !starts
            || text[..parts[0].start].ends_with('(') && !bracketed && n > 1 && parts[0].gap == Gap::Close
        {
            return None;
        }
        let number = digits(text, parts);
        let lens: Vec<usize> = parts.iter().map(Group::len).collect();
        let pure = !bracketed && inner.iter().all(|group| group.gap == Gap::Space);
        let start = parts[0].start - usize::from(bracketed);
        let said = is_said(text, start, 4);
        let sure = match is_trunk(&number, &lens, pure)? {
            Evidence::Shape => true,
            Evidence::Word => said,
        };
        let spaced = pure && n > 1 && !said;
        let alone = (is_hashed(text, start) || stands_alone_before(text, start, spaced))
            && stands_alone_after(text, last.end, spaced);
        (sure && alone).then_some(start..last.end)
    })
}

fn national(text: &str, groups: &[Group], form: &Form) -> Option<Range<usize>> {
    let parts = groups.get(..form.groups.len())?;
    if !parts.iter().zip(form.groups).all(|(group, len)| group.len() == usize::from(*len)) {
        return None;
    }
    let (last, inner) = parts.split_last()?;
    let needs_brackets = form.gaps.starts_with('(') && form.groups[0] != 1;
    // Behind the eight of Russia the area may be in brackets.
    let open = usize::from(form.groups[0] == 1);
    let bracketed = text[..parts[open].start].ends_with('(') && parts[open].gap == Gap::Close;
    let fits = |(at, group): (usize, &Group)| match group.gap {
        Gap::Space => form.gaps.contains(' '),
        Gap::Dash => form.gaps.contains('-'),
        Gap::Dot => form.gaps.contains('.'),
        Gap::Slash => form.gaps.contains('/'),
        Gap::Close => bracketed && at == open && form.gaps.contains('('),
        Gap::Open => bracketed && at + 1 == open,
        Gap::Far => false,
    };
    if needs_brackets && !bracketed || !inner.iter().enumerate().all(fits) {
        return None;
    }
    let number = digits(text, parts);
    if !form.starts.iter().any(|start| starts_with(&number, start)) {
        return None;
    }
    let start = parts[0].start - usize::from(bracketed && open == 0);
    let said = is_said(text, start, 4);
    let pure = !inner.is_empty() && inner.iter().all(|group| group.gap == Gap::Space) && !said;
    let alone = (is_hashed(text, start) || stands_alone_before(text, start, pure))
        && stands_alone_after(text, last.end, pure);
    // `509 509 509` counts, and so do thousands with blanks between.
    let same = inner.len() > 1
        && parts.iter().all(|group| text[group.start..group.end] == text[last.start..last.end]);
    // So do scores and weights (`720 680 740`), and thousands with dots between (`745.912.345`).
    let threes = form.groups == [3, 3, 3]
        && (parts.iter().all(|group| text[..group.end].ends_with('0'))
            || number[0] != 6 && inner.iter().any(|group| group.gap == Gap::Dot));
    let counts = is_round(&number) || same || threes || number.ends_with(&[0, 0, 0]);
    // Behind the Chinese word for a mobile phone two round numbers are what one costs: `3000-4000`.
    let prices = form.groups == [4, 4]
        && inner[0].gap == Gap::Dash
        && parts.iter().all(|group| text[..group.end].ends_with("00"))
        && !said_before(text, start, 4, &PHONE_WORDS);
    let sure = !prices && (said || form.evidence == Evidence::Shape && !counts);
    (sure && alone).then_some(start..last.end)
}

/// Any grouping of 9 to 13 digits right behind a word such as `phone`.
fn announced(text: &str, groups: &[Group]) -> Option<Range<usize>> {
    let start = groups[0].start;
    if !said_before(text, start, 2, &NOUNS) {
        return None;
    }
    let chain = chain(groups, 6);
    let last = chain.last()?;
    let n_digits: usize = chain.iter().map(Group::len).sum();
    let dated = chain.iter().any(|group| matches!(group.gap, Gap::Slash));
    let alone = (is_hashed(text, start) || stands_alone_before(text, start, false))
        && stands_alone_after(text, last.end, false);
    ((9..=13).contains(&n_digits) && !dated && alone).then_some(start..last.end)
}

/// Whether one of the last `n` words before `at` announces a phone number.
fn is_said(text: &str, at: usize, n: usize) -> bool {
    let before = text[..at].trim_end_matches(|c: char| UNSPACED_LINKS.contains(c));
    said_before(text, at, n, &PHONE_WORDS) || UNSPACED_WORDS.iter().any(|word| before.ends_with(*word))
}

/// Whether `#` stands between a number and the word that announces it: `cell #212-555-0147`.
fn is_hashed(text: &str, start: usize) -> bool {
    is_behind_hash(text, start) && said_before(text, start, 1, &PHONE_WORDS)
}

/// Whether nothing goes on behind a number that ends at `end`, an extension aside.
fn stands_alone_after(text: &str, end: usize, spaced: bool) -> bool {
    scan::stands_alone_after(text, extension_end(text, end), spaced)
}

/// The groups that belong together, `most` of them at most.
fn chain(groups: &[Group], most: usize) -> &[Group] {
    let len = groups.iter().take(most).position(|group| group.gap == Gap::Far).map_or(most, |at| at + 1);
    &groups[..len.min(groups.len())]
}

/// Whether no bracket is left open behind the group at `at`.
fn closed(text: &str, chain: &[Group], at: usize) -> bool {
    let written = &text[chain[0].start..chain[at].end];
    written.matches('(').count() <= written.matches(')').count()
}

/// Whether a number ends in so many zeros that it counts or measures something.
fn is_round(digits: &[u8]) -> bool {
    digits.iter().rev().take_while(|digit| **digit == 0).count() >= 5
}

/// The offset behind an extension (`x123`, `ext. 45`) that follows a number which ends at `end`.
fn extension_end(text: &str, end: usize) -> usize {
    let rest = text[end..].trim_start_matches([' ', ',']);
    let starts = |mark: &str| rest.get(..mark.len()).is_some_and(|head| head.eq_ignore_ascii_case(mark));
    let Some(mark) = ["extension", "ext.", "ext", "x"].into_iter().find(|mark| starts(mark)) else {
        return end;
    };
    let inside = rest[mark.len()..].trim_start_matches([' ', '.', ':']);
    let n_digits = inside.bytes().take_while(u8::is_ascii_digit).count();
    let stop = text.len() - inside.len() + n_digits;
    let joined = text[stop..].starts_with(|c: char| joins_word(c) || c == '_');
    if (1..=6).contains(&n_digits) && !joined { stop } else { end }
}
