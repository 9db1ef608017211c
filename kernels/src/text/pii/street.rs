//! Words of street addresses.

/// How sure a word is to be the kind of a street.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is hardly anything else behind a number and a name with capitals.
    Sure,
    /// It is a common word as well.
    Weak,
}

/// The kind of street that a word stands for (USPS Publication 28, appendix C1, and British use).
pub(super) fn kind(word: &str) -> Option<Kind> {
    let mut buffer = [0; 10];
    let len = lower(word, &mut buffer);
    match &buffer[..len] {
        b"street" | b"avenue" | b"ave" | b"av" | b"road" | b"rd" | b"boulevard" | b"blvd" | b"lane"
        | b"parkway" | b"pkwy" | b"terrace" | b"crescent" | b"cres" | b"highway" | b"hwy" | b"st" | b"ln"
        | b"drive" | b"mews" | b"expressway" | b"turnpike" | b"causeway" | b"broadway" | b"gardens" => {
            Some(Kind::Sure)
        }
        b"way" | b"place" | b"pl" | b"court" | b"ct" | b"square" | b"sq" | b"row" | b"close" | b"circle"
        | b"cir" | b"loop" | b"hill" | b"grove" | b"park" | b"view" | b"walk" | b"plaza" | b"trail"
        | b"trl" | b"path" | b"dr" | b"ter" | b"alley" | b"pike" | b"run" | b"pass" | b"ridge" | b"point"
        | b"landing" | b"crossing" | b"green" | b"rise" | b"bend" | b"cove" | b"route" | b"rte" | b"gate"
        | b"wharf" | b"quay" => Some(Kind::Weak),
        _ => None,
    }
}

/// A word in lower case, at the beginning of a buffer; nothing for one that is longer than all that are looked for.
fn lower(word: &str, buffer: &mut [u8; 10]) -> usize {
    let Some(kept) = buffer.get_mut(..word.len()) else { return 0 };
    kept.copy_from_slice(word.as_bytes());
    kept.make_ascii_lowercase();
    word.len()
}

/// Words of sentences that no street is called by.
pub(super) fn is_function_word(word: &str) -> bool {
    let mut buffer = [0; 10];
    let len = lower(word, &mut buffer);
    matches!(
        &buffer[..len],
        b"a" | b"an"
            | b"the"
            | b"of"
            | b"in"
            | b"on"
            | b"at"
            | b"to"
            | b"and"
            | b"or"
            | b"but"
            | b"is"
            | b"was"
            | b"were"
            | b"are"
            | b"be"
            | b"been"
            | b"it"
            | b"its"
            | b"this"
            | b"that"
            | b"these"
            | b"those"
            | b"i"
            | b"you"
            | b"he"
            | b"she"
            | b"we"
            | b"they"
            | b"my"
            | b"your"
            | b"his"
            | b"her"
            | b"our"
            | b"their"
            | b"for"
            | b"from"
            | b"with"
            | b"by"
            | b"as"
            | b"down"
            | b"up"
            | b"off"
            | b"over"
            | b"into"
            | b"out"
            | b"across"
            | b"along"
            | b"about"
            | b"around"
            | b"near"
            | b"than"
            | b"then"
            | b"so"
            | b"if"
            | b"not"
            | b"no"
            | b"per"
            | b"more"
            | b"most"
            | b"other"
            | b"minute"
            | b"minutes"
            | b"min"
            | b"mins"
            | b"hour"
            | b"hours"
            | b"day"
            | b"days"
            | b"week"
            | b"weeks"
            | b"month"
            | b"months"
            | b"year"
            | b"years"
            | b"second"
            | b"seconds"
            | b"mile"
            | b"miles"
            | b"km"
            | b"meter"
            | b"meters"
            | b"feet"
            | b"foot"
            | b"ft"
            | b"yard"
            | b"yards"
            | b"block"
            | b"blocks"
            | b"people"
            | b"men"
            | b"women"
            | b"kids"
            | b"percent"
            | b"dollars"
            | b"times"
            | b"points"
            | b"am"
            | b"pm"
            | b"different"
            | b"lane"
            | b"way"
            | b"car"
            | b"cars"
            | b"good"
            | b"best"
            | b"bad"
            | b"long"
            | b"small"
            | b"ways"
            | b"things"
            | b"had"
            | b"have"
            | b"has"
            | b"will"
            | b"would"
            | b"can"
    )
}

/// Whether a word is the code of a state or province of the United States or Canada, in capitals or not.
pub(super) fn is_state(word: &str) -> bool {
    const STATES: &str = "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ \
                          NM NY NC ND OH OK OR PA PR RI SC SD TN TX UT VT VA WA WV WI WY AB BC MB NB NL NS ON PE QC SK";
    word.len() == 2 && STATES.split(' ').any(|state| state.eq_ignore_ascii_case(word))
}

/// Whether a word or two are the name of a state of the United States.
pub(super) fn is_state_name(name: &str) -> bool {
    const STATES: [&str; 50] = [
        "Alabama",
        "Alaska",
        "Arizona",
        "Arkansas",
        "California",
        "Colorado",
        "Connecticut",
        "Delaware",
        "Florida",
        "Georgia",
        "Hawaii",
        "Idaho",
        "Illinois",
        "Indiana",
        "Iowa",
        "Kansas",
        "Kentucky",
        "Louisiana",
        "Maine",
        "Maryland",
        "Massachusetts",
        "Michigan",
        "Minnesota",
        "Mississippi",
        "Missouri",
        "Montana",
        "Nebraska",
        "Nevada",
        "New Hampshire",
        "New Jersey",
        "New Mexico",
        "New York",
        "North Carolina",
        "North Dakota",
        "Ohio",
        "Oklahoma",
        "Oregon",
        "Pennsylvania",
        "Rhode Island",
        "South Carolina",
        "South Dakota",
        "Tennessee",
        "Texas",
        "Utah",
        "Vermont",
        "Virginia",
        "Washington",
        "West Virginia",
        "Wisconsin",
        "Wyoming",
    ];
    STATES.iter().any(|state| state.eq_ignore_ascii_case(name))
}
