//! Number plans: country codes of ITU-T E.164, area codes of North America, and the national forms that tell
//! themselves by their shape.

/// Country codes with the fewest and the most digits of a number behind them: lengths of geographic, mobile and
/// freephone numbers in the national plans as ITU-T's Operational Bulletin publishes them. Shorter numbers than
/// seven digits are left out where the plan has longer ones.
#[rustfmt::skip]
const COUNTRY_CODES: &[(u16, u8, u8)] = &[
    (1, 10, 10), (7, 10, 10), (20, 8, 10), (27, 7, 9), (30, 10, 12), (31, 7, 11), (32, 8, 9), (33, 9, 9),
    (34, 9, 9), (36, 8, 9), (39, 7, 12), (40, 7, 9), (41, 9, 9), (43, 7, 13), (44, 7, 10), (45, 8, 8),
    (46, 7, 9), (47, 8, 8), (48, 7, 10), (49, 7, 13), (51, 8, 9), (52, 10, 10), (53, 7, 10), (54, 10, 11),
    (55, 10, 11), (56, 9, 11), (57, 8, 11), (58, 10, 10), (60, 8, 10), (61, 7, 10), (62, 8, 12),
    (63, 8, 10), (64, 8, 10), (65, 8, 11), (66, 8, 10), (81, 9, 10), (82, 8, 11), (84, 8, 10), (86, 8, 12),
    (90, 10, 10), (91, 10, 10), (92, 8, 11), (93, 9, 9), (94, 9, 9), (95, 7, 10), (98, 7, 10), (211, 9, 9),
    (212, 9, 9), (213, 8, 9), (216, 8, 8), (218, 9, 9), (220, 7, 9), (221, 9, 9), (222, 8, 8), (223, 8, 8),
    (224, 8, 9), (225, 10, 10), (226, 8, 8), (227, 8, 8), (228, 8, 8), (229, 10, 10), (230, 7, 10),
    (231, 7, 9), (232, 8, 8), (233, 8, 9), (234, 10, 12), (235, 8, 8), (236, 8, 8), (237, 8, 9),
    (238, 7, 7), (239, 7, 7), (240, 9, 9), (241, 7, 8), (242, 9, 9), (243, 7, 10), (244, 9, 9), (245, 7, 9),
    (246, 7, 7), (247, 5, 5), (248, 7, 7), (249, 9, 9), (250, 8, 9), (251, 9, 9), (252, 7, 9), (253, 8, 8),
    (254, 7, 10), (255, 9, 9), (256, 9, 9), (257, 8, 8), (258, 8, 9), (260, 9, 9), (261, 9, 9), (262, 9, 9),
    (263, 7, 10), (264, 8, 9), (265, 7, 9), (266, 8, 8), (267, 7, 10), (268, 8, 8), (269, 7, 7),
    (290, 4, 5), (291, 7, 7), (297, 7, 7), (298, 6, 6), (299, 6, 6), (350, 8, 8), (351, 9, 9), (352, 7, 11),
    (353, 7, 10), (354, 7, 9), (355, 7, 9), (356, 8, 8), (357, 8, 8), (358, 7, 10), (359, 7, 12),
    (370, 8, 8), (371, 8, 8), (372, 7, 10), (373, 8, 8), (374, 8, 8), (375, 7, 11), (376, 7, 9),
    (377, 8, 9), (378, 8, 10), (380, 9, 10), (381, 7, 12), (382, 8, 9), (383, 8, 12), (385, 7, 9),
    (386, 6, 8), (387, 8, 9), (389, 8, 8), (420, 9, 9), (421, 7, 9), (423, 7, 9), (500, 5, 5), (501, 7, 11),
    (502, 8, 11), (503, 7, 11), (504, 8, 11), (505, 8, 8), (506, 8, 10), (507, 7, 11), (508, 7, 9),
    (509, 8, 8), (590, 9, 9), (591, 8, 9), (592, 7, 7), (593, 8, 11), (594, 9, 9), (595, 7, 11),
    (596, 9, 9), (597, 6, 7), (598, 7, 12), (599, 7, 8), (670, 7, 8), (672, 6, 6), (673, 7, 7), (674, 7, 7),
    (675, 7, 8), (676, 5, 7), (677, 5, 7), (678, 5, 7), (679, 7, 11), (680, 7, 7), (681, 7, 9), (682, 5, 5),
    (683, 4, 7), (685, 7, 10), (686, 5, 8), (687, 6, 6), (688, 5, 7), (689, 8, 9), (690, 4, 7), (691, 7, 7),
    (692, 7, 7), (850, 8, 10), (852, 8, 9), (853, 7, 8), (855, 8, 10), (856, 8, 10), (880, 7, 10),
    (886, 8, 11), (960, 7, 10), (961, 7, 8), (962, 8, 9), (963, 8, 9), (964, 8, 10), (965, 7, 8),
    (966, 9, 10), (967, 7, 9), (968, 7, 9), (970, 8, 10), (971, 8, 9), (972, 8, 9), (973, 8, 8),
    (974, 7, 11), (975, 7, 8), (976, 8, 10), (977, 8, 11), (992, 9, 9), (993, 8, 8), (994, 9, 9),
    (995, 9, 9), (996, 9, 10), (998, 9, 9),
];

/// Country codes behind which a number may start with zero; elsewhere the zero is for calls inside the country and
/// written out of habit.
const ZERO_LED: [u16; 5] = [39, 225, 241, 242, 378];

/// Area codes of the North American plan in use, one bit each, by first digit from 2 to 9 (NANPA, 2025).
const AREA_CODES: [u128; 8] = [
    0x0000_021a_9768_d37f_459c_bf9f_f7fe,
    0x0000_0065_003b_b07c_cbb5_efbf_f7fe,
    0x0000_0011_cd71_8405_af6d_d38f_f7fe,
    0x0000_00f7_8fc9_ea09_0384_c01f_f7fe,
    0x0000_024f_41e8_7f0e_e390_f49f_f7fe,
    0x0000_00f7_cfe2_d661_8d65_df1f_f3fe,
    0x0000_0000_d35b_df47_a9c9_f63f_f7fe,
    0x0000_0279_cbc0_095b_aff4_f21f_f7fe,
];

/// The plan of the country code that starts `digits`: digits of the code, fewest and most digits behind it,
/// and whether those may start with zero.
pub(super) fn country(digits: &[u8]) -> Option<(usize, usize, usize, bool)> {
    let mut code = 0_u16;
    // No country code is the beginning of another.
    digits.iter().take(3).enumerate().find_map(|(at, digit)| {
        code = 10 * code + u16::from(*digit);
        let row = COUNTRY_CODES.binary_search_by_key(&code, |(code, ..)| *code).ok()?;
        let (_, fewest, most) = COUNTRY_CODES[row];
        Some((at + 1, usize::from(fewest), usize::from(most), ZERO_LED.contains(&code)))
    })
}

/// Whether ten digits have the form of a North American number: area code and exchange start with 2 to 9, and the
/// area code is no service code such as 911.
pub(super) fn is_north_american(digits: &[u8]) -> bool {
    digits.len() == 10 && digits[0] >= 2 && digits[3] >= 2 && !(digits[1] == 1 && digits[2] == 1)
}

/// Whether an area code of North America is in use.
pub(super) fn is_area_code(digits: &[u8]) -> bool {
    let [first @ 2..=9, second, third, ..] = digits else { return false };
    AREA_CODES[usize::from(*first) - 2] >> (10 * second + third) & 1 == 1
}

/// How much a form says on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Enough wherever it stands.
    Shape,
    /// Other numbers are written like that: it counts behind a word such as `tel`.
    Word,
}

/// A national form: lengths of its groups, how they may be joined, what its digits start with.
#[derive(Debug)]
pub(super) struct Form {
    /// Digits in each group.
    pub(super) groups: &'static [u8],
    /// Between the groups: a blank ` `, a dash `-`, a dot `.`, a slash `/`; `(` where the first group is in brackets.
    pub(super) gaps: &'static str,
    /// First digits of the number, any of them.
    pub(super) starts: &'static [&'static str],
    /// What else it needs.
    pub(super) evidence: Evidence,
}

const fn form(
    groups: &'static [u8],
    gaps: &'static str,
    starts: &'static [&'static str],
    evidence: Evidence,
) -> Form {
    Form { groups, gaps, starts, evidence }
}

use Evidence::{Shape, Word};

const INDIA: &[&str] = &["6", "7", "8", "9"];
const CHINA: &[&str] = &["13", "14", "15", "16", "17", "18", "19"];
const SPAIN: &[&str] = &["6", "7", "8", "9"];
const POLAND: &[&str] = &["45", "5", "60", "66", "69", "72", "73", "78", "79", "88"];
const RUSSIA: &[&str] = &["83", "84", "85", "88", "89"];
const RUSSIAN_AREA: &[&str] = &["3", "4", "9"];

/// National forms without a zero before the area.
pub(super) const FORMS: &[Form] = &[
    // Brazil: two digits of the area, mobile numbers with 9 before eight digits.
    form(&[2, 5, 4], "(-", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], Shape),
    form(
        &[2, 5, 4],
        " -",
        &["119", "219", "279", "319", "419", "519", "619", "719", "819", "859", "919"],
        Shape,
    ),
    form(&[2, 5, 4], "( -", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], Shape),
    form(&[2, 4, 4], "( -", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], Shape),
    // India: mobile numbers in halves.
    form(&[5, 5], " -", INDIA, Word),
    // China: mobile numbers.
    form(&[3, 4, 4], " -", CHINA, Shape),
    form(&[11], "", CHINA, Word),
    // Spain.
    form(&[3, 2, 2, 2], " -.", SPAIN, Shape),
    form(&[3, 3, 3], " -.", SPAIN, Shape),
    // Poland: mobile numbers.
    form(&[3, 3, 3], " -", POLAND, Shape),
    // Portugal, Greece, Mexico and others.
    form(&[3, 3, 3], " -", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], Word),
    form(&[3, 3, 4], " -.", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], Word),
    form(&[2, 4, 4], " -", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], Word),
    form(&[2, 3, 4], " -", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], Word),
    form(&[2, 3, 2, 2], " -", &["1", "2", "3", "4", "5", "6", "7", "8", "9"], Word),
    // Italy: mobile numbers; those in groups of 3, 3 and 4 have the North American form.
    form(&[3, 7], " -/.", &["32", "33", "34", "35", "36", "37", "38", "39"], Shape),
    form(&[3, 3, 4], " -.", &["32", "33", "34", "35", "36", "37", "38", "39"], Shape),
    // Russia: eight for calls inside the country.
    form(&[1, 3, 3, 2, 2], "( -", RUSSIA, Shape),
    form(&[1, 3, 3, 4], "( -", RUSSIA, Word),
    form(&[3, 3, 2, 2], "( -", RUSSIAN_AREA, Shape),
    // France and others: pairs, without the zero.
    form(&[2, 2, 2, 2], " .-", &["2", "3", "4", "5", "6", "7", "8", "9"], Word),
    form(&[4, 4], " -", &["22", "23", "24", "25", "26", "27", "28", "29", "3", "6", "8", "9"], Word),
];

/// Whether the groups of a number that starts with the zero of calls inside a country are of a plan: lengths by
/// group, `pure`: blanks alone join them. Great Britain, Germany, France, Italy, the Netherlands, Belgium, Austria,
/// Switzerland, Sweden, Ireland, Australia, New Zealand, Japan, India, Turkey, South Africa and others.
pub(super) fn is_trunk(digits: &[u8], groups: &[usize], pure: bool) -> Option<Evidence> {
    let total = digits.len();
    let ([first, tail @ ..], [0, second @ 1..=9, ..]) = (groups, digits) else { return None };
    if tail.iter().any(|len| !(2..=8).contains(len)) || tail.len() > 4 {
        return None;
    }
    match (first, tail) {
        // France (also Belgium's mobile numbers): pairs.
        (2, [2, 2, 2, 2]) => Some(Shape),
        // Japan, Australia, the Netherlands, Italy.
        (2, [4, 4] | [8]) if pure || matches!(second, 2..=8) => Some(Shape),
        (2, [3, 4]) if !pure => Some(Shape),
        // British mobile numbers in one piece.
        (11, []) if *second == 7 => Some(Shape),
        (2, [3, 4] | [7 | 9] | [2, 2, 2]) | (3, [5]) | (10..=12, []) => Some(Word),
        // Hungary.
        (2, [2, 3, 4]) if *second == 6 => Some(Shape),
        // India: mobile numbers in halves.
        (6, [5]) if *second >= 6 => Some(Shape),
        // ZIP codes of New England with four more digits are five and four digits.
        (5, [4]) => None,
        (3..=5, [_, ..]) if (10..=12).contains(&total) => Some(Shape),
        (3..=5, [6] | [_, _, ..]) if total == 9 => Some(Shape),
        (3..=5, [_]) if total == 9 => Some(if pure { Word } else { Shape }),
        _ => None,
    }
}

/// Whether digits start with those that are written in `start`.
pub(super) fn starts_with(digits: &[u8], start: &str) -> bool {
    start.len() <= digits.len() && start.bytes().zip(digits).all(|(b, digit)| b - b'0' == *digit)
}
