use proptest::prelude::*;

use super::*;

fn found(text: &str) -> Vec<(PiiKind, &str)> {
    spans(text).into_iter().map(|span| (span.kind, &text[span.start..span.end])).collect()
}

/// Every identifier here is of a range that its registry keeps for examples, or the example of its specification.
const POSITIVES: &[(PiiKind, &str)] = &[
    (PiiKind::Email, "ann@example.org"),
    (PiiKind::Email, "First.Last+tag@mail.example.co.uk"),
    (PiiKind::Email, "jürgen@exämple.de"),
    (PiiKind::Email, "ann [at] example [dot] org"),
    (PiiKind::Email, "ann(at)example.org"),
    (PiiKind::Email, "ann.b at example dot org"),
    (PiiKind::Email, "ann at gmail dot com"),
    (PiiKind::Email, "ann.b at gmail.com"),
    (PiiKind::Phone, "+44 1632 960123"),
    (PiiKind::Phone, "+1 (212) 555-0147"),
    (PiiKind::Phone, "+1 303  555-0199"),
    (PiiKind::Phone, "+12125550147"),
    (PiiKind::Phone, "+49 30 23125 456"),
    (PiiKind::Phone, "+441632960123"),
    (PiiKind::Phone, "+44 (0)20 7946 0123"),
    (PiiKind::Phone, "+33 1 99 00 12 34"),
    (PiiKind::Phone, "+61 491 570 006"),
    (PiiKind::Phone, "0049 30 23125 456"),
    (PiiKind::Phone, "(212) 555-0147"),
    (PiiKind::Phone, "(212)555-0147"),
    (PiiKind::Phone, "(212)  555-0147"),
    (PiiKind::Phone, "212-555-0147"),
    (PiiKind::Phone, "415- 555-0133"),
    (PiiKind::Phone, "212.555.0147"),
    (PiiKind::Phone, "1-212-555-0147"),
    (PiiKind::Phone, "001-212-555-0147x123"),
    (PiiKind::Phone, "212-555-0147 ext. 12"),
    (PiiKind::Phone, "07700 900123"),
    (PiiKind::Phone, "07700900123"),
    (PiiKind::Phone, "020 7946 0123"),
    (PiiKind::Phone, "(0113) 496 0123"),
    (PiiKind::Phone, "01632 960123"),
    (PiiKind::Phone, "(030) 23125 456"),
    (PiiKind::Phone, "030/23125-456"),
    (PiiKind::Phone, "01 99 00 12 34"),
    (PiiKind::Phone, "0491 570 006"),
    (PiiKind::Phone, "8 (900) 000-12-34"),
    (PiiKind::Phone, "(11) 90000-1234"),
    (PiiKind::IpAddress, "192.0.2.17"),
    (PiiKind::IpAddress, "198[.]51[.]100[.]7"),
    (PiiKind::IpAddress, "2001:db8::8a2e:370:7334"),
    (PiiKind::IpAddress, "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
    (PiiKind::IpAddress, "fe80::1"),
    (PiiKind::Card, "4111 1111 1111 1111"),
    (PiiKind::Card, "4111  1111 1111 1111"),
    (PiiKind::Card, "4111-1111-1111-1111"),
    (PiiKind::Card, "5555555555554444"),
    (PiiKind::Card, "378282246310005"),
    (PiiKind::Card, "3782 822463 10005"),
    (PiiKind::Card, "6011111111111117"),
    (PiiKind::Card, "3530 1113 3330 0000"),
    (PiiKind::Iban, "GB82 WEST 1234 5698 7654 32"),
    (PiiKind::Iban, "gb82 west 1234 5698 7654 32"),
    (PiiKind::Iban, "DE89370400440532013000"),
    (PiiKind::Iban, "GB82\u{a0}WEST\u{a0}1234\u{a0}5698\u{a0}7654\u{a0}32"),
    (PiiKind::Iban, "NL91 ABNA 0417 1643 00"),
    (PiiKind::Iban, "FR14 2004 1010 0505 0001 3M02 606"),
    (PiiKind::Iban, "BR18 0036 0305 0000 1000 9795 493C 1"),
    (PiiKind::NationalId, "900-12-3456"),
    (PiiKind::NationalId, "QQ 12 34 56 C"),
    (PiiKind::NationalId, "QQ123456C"),
    (PiiKind::NationalId, "12345678Z"),
    (PiiKind::NationalId, "12.345.678-Z"),
    (PiiKind::NationalId, "X1234567L"),
    (PiiKind::NationalId, "RSSMRA80A01H501U"),
    (PiiKind::NationalId, "44051401359"),
    (PiiKind::NationalId, "111.444.777-35"),
    (PiiKind::NationalId, "811228-9874"),
    (PiiKind::NationalId, "131052-308T"),
    (PiiKind::NationalId, "756.9217.0769.85"),
    (PiiKind::NationalId, "2 55 08 14 168 025 38"),
    (PiiKind::NationalId, "11010519491231002X"),
    (PiiKind::NationalId, "ABCPE1234F"),
    (PiiKind::StreetAddress, "12 Example Street, Apt 3, Springfield, IL 62704"),
    (PiiKind::StreetAddress, "12 example street, apt 3, springfield, il 62704"),
    (PiiKind::StreetAddress, "350 N. Example Ave"),
    (PiiKind::StreetAddress, "221 Example Rd, Leeds LS1 4DY"),
    (PiiKind::StreetAddress, "Flat 3, 12 Example Close, London SW1A 1AA"),
    (PiiKind::StreetAddress, "Musterstraße 12, 12345 Musterstadt"),
    (PiiKind::StreetAddress, "12 bis rue de la Paix, 75000 Exempleville"),
    (PiiKind::StreetAddress, "Calle Mayor, 12"),
    (PiiKind::StreetAddress, "P.O. Box 123"),
    (PiiKind::PersonalUrl, "https://www.facebook.com/ann.example"),
    (PiiKind::PersonalUrl, "linkedin.com/in/ann-example"),
    (PiiKind::PersonalUrl, "https://old.reddit.com/user/ann_example/comments"),
    (PiiKind::PersonalUrl, "https://example.org/reset?token=abcdef123456"),
    (PiiKind::PersonalUrl, "https://example.org/x?m=ann%40example.org"),
    (PiiKind::PersonalUrl, "https://example.social/@ann"),
    (PiiKind::Handle, "@ann_example"),
    (PiiKind::Handle, "@ann@example.social"),
    (PiiKind::Handle, "u/ann_example"),
    (PiiKind::Handle, "/u/ann-example"),
    (PiiKind::Handle, "ann.example#1234"),
];

/// What counts behind a word only: word, kind, value.
const WORDED: &[(&str, PiiKind, &str)] = &[
    ("call me at", PiiKind::Phone, "2125550147"),
    ("tel:", PiiKind::Phone, "0199001234"),
    ("móvil", PiiKind::Phone, "55 1234 5678"),
    ("phone", PiiKind::Phone, "12 345 67 89"),
    ("my ssn is", PiiKind::NationalId, "900 12 3456"),
    ("ssn", PiiKind::NationalId, "900123456"),
    ("bsn", PiiKind::NationalId, "123456782"),
    ("my sin is", PiiKind::NationalId, "046454286"),
    ("nhs number", PiiKind::NationalId, "9434765919"),
    ("PAN", PiiKind::NationalId, "ABCCE1234F"),
    ("i live at", PiiKind::StreetAddress, "12 example street"),
    ("email me at", PiiKind::Email, "annb at uni-example dot org"),
    ("my email is", PiiKind::Email, "ann at gmail.com"),
    ("phone", PiiKind::Phone, "745.912.345"),
    ("phone", PiiKind::Phone, "720 680 740"),
];

/// Identifiers right beside letters of scripts without blanks, or beside marks: a text, and the text without them.
const BESIDE: &[(&str, &str)] = &[
    ("卡号4111 1111 1111 1111", "卡号<CARD>"),
    ("我的手机号是138 1234 5678", "我的手机号是<PHONE>"),
    ("手机：13812345678", "手机：<PHONE>"),
    ("電話は03-1234-5678です", "電話は<PHONE>です"),
    ("전화는 010-1234-5678입니다", "전화는 <PHONE>입니다"),
    ("โทร081-234-5678ครับ", "โทร<PHONE>ครับ"),
    ("是+8613812345678", "是<PHONE>"),
    ("call 212-555-0147 ほんとうに", "call <PHONE> ほんとうに"),
    ("服务器192.0.2.17挂了", "服务器<IP_ADDRESS>挂了"),
    ("看看@ann_example吧", "看看<HANDLE>吧"),
    ("用户ann.example#1234吧", "用户<HANDLE>吧"),
    ("連絡はann@example.orgまでお願いします", "連絡は<EMAIL>までお願いします"),
    ("ann@example.org.よろしく", "<EMAIL>.よろしく"),
    ("ann@例え.jpまで", "<EMAIL>まで"),
    ("메일은ann@example.org입니다", "메일은<EMAIL>입니다"),
    ("card #4111111111111111", "card #<CARD>"),
    ("card#4111 1111 1111 1111", "card#<CARD>"),
    ("4111 1111 1111 1111/12/25", "<CARD>/12/25"),
    ("iban#DE89370400440532013000", "iban#<IBAN>"),
    ("SSN#900-12-3456", "SSN#<NATIONAL_ID>"),
    ("cell #212-555-0147", "cell #<PHONE>"),
    ("call 212-555-0147/212-555-0148", "call <PHONE>/<PHONE>"),
    ("ann.example#1234 2 days ago", "<HANDLE> 2 days ago"),
];

const NEGATIVES: &[&str] = &[
    "in 1999 and 2004-2006, on 2004-08-15 and 15.08.2004, 12/31/1999, at 10:30:45",
    "it costs $1,234,567.89 or 1 200 000 euros, 50-60 % off, $212-555-0147",
    "tweet 1234567890123456789, id 900123456789012345, order 112-1234567-1234567",
    "posted at 1095379200 or 1095379200000 or 4095379200000",
    "isbn 978-3-16-148410-0, ean 4006381333931",
    "version 1.2.3.4 and v10.0.19041.1, section 1.2.3.4.5, player 4.0.207.0, mask 255.255.255.0",
    "localhost is 127.0.0.1, everything is 0.0.0.0, ::1",
    "std::vec::Vec, a::b, Foo::bar, 12:30:45, note: this",
    "4111 1111 1111 1112 fails its check",
    "GB82 WEST 1234 5698 7654 33 fails its check, so does AB12 3456",
    "@ann@ wrote to user@host, icon@2x.png, git@example.org:path",
    "quoted in <1991Nov13.194420.28091@example.com> and 199710221731.KAA24396@example.org",
    "https://example.com/212-555-0147/4111111111111111",
    "score 3-2, 100-200 people, 10 000 km, 24/7, 1234-5678, open 0700-1900, 509 509 509",
    "the 555 people, 867-5309, room 212 555, CVE-2016-6307, zip 02139-4307",
    "meet me (at noon), or [at] last, look at example dot com, lunch @ noon, polka dot dress",
    "0 1 2 3 4 5 6 7 8 9 10 11 12",
    "3.14159265358979, 1e-10, 0.0113 496",
    "#212-555-0147 x212-555-01478",
    "666-12-3456, 000-12-3456, 900-00-3456, 900-12-0000 are never given out",
    "12345678A, RSSMRA80A01H501X, 44051401358, 111.444.777-36 fail their checks, as does PN 320008A",
    "2 miles down the road, a 5 minute drive, 3 good ways, the 10 best places, in 1929 Wall Street crashed",
    "20 people on the street, 4 years in court, a 120 GB hard drive, Spring 2004, Engineering 101",
    "the 2023-2024-2025 seasons, 2020 2024 2028, 2000-3000-5000",
    "credit scores 720 680 740, squats 600-650-700, 745.912.345 Euro",
    "手机3000-4000元，版本10.15.7.1，第10.20.30.4节",
    "card#4111 1111 1111 1112, called about order #2125550147, look at gmail.com, meet me at noon",
    "u/user_1234 and @user_1a2b3c4d, /u/user_17, https://www.reddit.com/user/user_1a2b3c4d",
    "@home @everyone @param, r/example, and/or, issue#1234, https://github.com/example/project",
    "https://twitter.com/search?q=x, https://www.facebook.com/groups/1, https://example.org/a?b=c",
    "<EMAIL> <PHONE_417> <STREET_ADDRESS_12>, <IP_ADDRESS>:8080 and tel <PHONE> 5",
    "",
];

#[test]
fn identifiers_are_found_whole() {
    for (kind, text) in POSITIVES {
        assert_eq!(found(text), [(*kind, *text)], "{text}");
        for framed in [
            format!("call {text}."),
            format!("({text})"),
            format!("is it “{text}”?"),
            format!("x: {text}, y"),
            format!("**{text}**"),
        ] {
            assert_eq!(found(&framed), [(*kind, *text)], "{framed}");
        }
    }
}

#[test]
fn words_tell_what_numbers_are() {
    for (word, kind, value) in WORDED {
        assert_eq!(found(&format!("{word} {value}, ok")), [(*kind, *value)], "{word}");
        assert_eq!(found(&format!("{value} of them")), [], "{value}");
    }
}

#[test]
fn what_stands_beside_an_identifier_stays() {
    for (text, expected) in BESIDE {
        assert_eq!(redact(text), *expected);
        assert_eq!(redact(expected), *expected);
    }
}

#[test]
fn other_numbers_are_left_alone() {
    for text in NEGATIVES {
        assert_eq!(found(text), [], "{text}");
        assert_eq!(redact(text), *text);
    }
}

#[test]
fn links_keep_their_numbers_but_not_their_addresses() {
    assert_eq!(
        redact("http://192.0.2.17/x?mail=ann@example.org 212-555-0147"),
        "http://<IP_ADDRESS>/x?mail=<EMAIL> <PHONE>"
    );
    assert_eq!(redact("[mail](mailto:ann@example.org)"), "[mail](mailto:<EMAIL>)");
}

#[test]
fn a_value_has_one_normal_form() {
    for (kind, forms, normal) in [
        (PiiKind::Email, ["Ann@Example.org", "ann (at) example (dot) org"], "ann@example.org"),
        (PiiKind::Phone, ["+1 (212) 555-0147", "212.555.0147 x12"], "2125550147"),
        (PiiKind::Phone, ["+44 (0)20 7946 0123", "0044 20 7946 0123"], "442079460123"),
        (PiiKind::Card, ["4111 1111 1111 1111", "4111-1111-1111-1111"], "4111111111111111"),
        (PiiKind::Iban, ["GB82 WEST 1234 5698 7654 32", "gb82west12345698765432"], "GB82WEST12345698765432"),
        (PiiKind::IpAddress, ["2001:DB8:0::1", "2001:db8::1"], "2001:db8::1"),
        (PiiKind::StreetAddress, ["12 Example St., Leeds", "12 example st leeds"], "12 example st leeds"),
        (PiiKind::PersonalUrl, ["https://www.x.com/Ann/", "x.com/ann?s=20"], "x.com/ann"),
        (PiiKind::Handle, ["/u/Ann", "u/ann"], "ann"),
    ] {
        for form in forms {
            assert_eq!(normal_form(kind, form), normal, "{form}");
        }
    }
}

#[test]
fn callers_choose_kinds_and_numbers() {
    let text = "ann@example.org, ANN@example.org, 192.0.2.17";
    let number = |kind, value: &str| (kind == PiiKind::Email && value == "ann@example.org").then_some(7);
    let (redacted, spans) = redact_with(text, PiiKinds::ALL, &number);
    assert_eq!(redacted, "<EMAIL_7>, <EMAIL_7>, <IP_ADDRESS>");
    assert_eq!(spans.iter().map(|span| &text[span.start..span.end]).collect::<Vec<_>>().join(", "), text);
    let (redacted, spans) = redact_with(text, PiiKinds::NONE.with(PiiKind::IpAddress), &number);
    assert_eq!((redacted.as_str(), spans.len()), ("ann@example.org, ANN@example.org, <IP_ADDRESS>", 1));
    let kinds: PiiKinds = PiiKind::ALL.into_iter().collect();
    assert_eq!(kinds, PiiKinds::ALL);
    assert_eq!(kinds.without(PiiKind::Handle).iter().count(), PiiKind::ALL.len() - 1);
    assert!(PiiKinds::NONE.is_empty() && redact_with(text, PiiKinds::NONE, &number).1.is_empty());
}

#[test]
fn a_number_counts_once_its_neighbour_is_gone() {
    for (text, expected) in [
        ("212 555 0147 4111 1111 1111 1111", "<PHONE> <CARD>"),
        ("4111111111111111,212-555-0147", "<CARD>,<PHONE>"),
    ] {
        assert_eq!(redact(text), expected);
        assert_eq!(spans(text).len(), 2);
    }
}

proptest! {
    #[test]
    fn what_is_planted_is_redacted(
        picks in proptest::collection::vec((0..POSITIVES.len(), "[b-z]{3,8}"), 1..6),
    ) {
        let (mut text, mut expected) = (String::new(), String::new());
        for (at, word) in &picks {
            let (kind, identifier) = POSITIVES[*at];
            text.extend([word.as_str(), " ", identifier, "; "]);
            expected.extend([word.as_str(), " ", kind.placeholder(), "; "]);
        }
        prop_assert_eq!(redact(&text), expected);
    }

    #[test]
    fn spans_are_disjoint_and_nothing_is_left(
        parts in proptest::collection::vec(
            prop_oneof![
                3 => (0..POSITIVES.len()).prop_map(|at| POSITIVES[at].1.to_owned()),
                1 => (0..WORDED.len()).prop_map(|at| format!("{} {}", WORDED[at].0, WORDED[at].2)),
                2 => "\\PC{0,6}",
                3 => "[0-9]{1,5}",
                4 => "[ @#/.,:+()<>\\[\\]-]{1,2}",
                2 => "(St|Street|Apt|IL|de|rue|u/|call|ssn|tel|at|dot|www\\.|https://|x\\.com/|_|<EMAIL>|<PHONE_12>)",
            ],
            0..14,
        ),
    ) {
        let text = parts.concat();
        let spans = spans(&text);
        prop_assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start));
        for span in &spans {
            prop_assert!(span.start < span.end);
            prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
        }
        let redacted = redact(&text);
        prop_assert_eq!(redact(&redacted), redacted, "{}", text);
        let (numbered, places) = redact_with(&text, PiiKinds::ALL, &|_, _| Some(417));
        prop_assert_eq!(places, spans);
        prop_assert_eq!(redact(&numbered), numbered, "{}", text);
    }

    #[test]
    fn a_card_with_a_wrong_digit_is_no_card(at in 0_usize..16, by in 1_u8..10) {
        let text = with_digit("4111111111111111", at, by);
        prop_assert!(!found(&text).iter().any(|(kind, _)| *kind == PiiKind::Card));
    }

    #[test]
    fn an_account_with_a_wrong_digit_is_no_account(at in 2_usize..22, by in 1_u8..10) {
        let text = with_digit("DE89370400440532013000", at, by);
        prop_assert!(!found(&text).iter().any(|(kind, _)| *kind == PiiKind::Iban));
    }

    #[test]
    fn a_number_of_a_person_with_a_wrong_digit_is_none(which in 0_usize..6, at in 0_usize..11, by in 1_u8..10) {
        // None of these check digits lets one wrong digit pass.
        let id =
            ["12345678Z", "44051401359", "111.444.777-35", "811228-9874", "756.9217.0769.85", "QQ123456C"][which];
        let digits: Vec<usize> = id.bytes().enumerate().filter(|(_, b)| b.is_ascii_digit()).map(|(at, _)| at).collect();
        let text = with_digit(id, digits[at % digits.len()], by);
        let is_id = found(&text).iter().any(|(kind, _)| *kind == PiiKind::NationalId);
        prop_assert_eq!(is_id, id.starts_with('Q'), "{}", text);
    }

    #[test]
    fn signs_are_those_of_the_text(text in "[a-z dotDOT]{0,90}[ @#/(\\[{0-9d]{0,2}[a-z dot]{0,70}") {
        let lower = text.to_lowercase();
        let signs = [
            (Signs::DIGIT, text.contains(|c: char| c.is_ascii_digit())),
            (Signs::AT, text.contains('@')),
            (Signs::SLASH, text.contains('/')),
            (Signs::HASH, text.contains('#')),
            (Signs::BRACKET, text.contains(['(', '[', '{'])),
            (Signs::DOT, lower.contains(" dot")),
            (Signs::SPOKEN, lower.contains(" at ")),
        ];
        for (sign, is_there) in signs {
            prop_assert_eq!(Signs::of(&text).any(sign), is_there, "{}", sign);
        }
        prop_assert_eq!(Signs::of(&text).is_empty(), signs.iter().all(|(_, is_there)| !is_there));
    }
}

/// `number` with the digit at `at` raised by `by`, modulo ten.
fn with_digit(number: &str, at: usize, by: u8) -> String {
    let change = |(place, c): (usize, char)| match c {
        '0'..='9' if place == at => char::from(b'0' + (c as u8 - b'0' + by) % 10),
        c => c,
    };
    number.chars().enumerate().map(change).collect()
}
