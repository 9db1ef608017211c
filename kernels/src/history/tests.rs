use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A morning in 2023.
const MORNING: i64 = 19_400 * DAY + 8 * HOUR + 1;

fn history(posts: &[(Option<i64>, String)]) -> History {
    let mut history = History::default();
    for (at, text) in posts {
        history.add(*at, text);
    }
    history
}

fn at_times(times: impl IntoIterator<Item = i64>) -> HistoryMeasures {
    let posts: Vec<_> =
        times.into_iter().enumerate().map(|(i, at)| (Some(at), format!("post {i}"))).collect();
    history(&posts).measures()
}

fn saying(texts: &[&str]) -> HistoryMeasures {
    let posts: Vec<_> = texts.iter().map(|text| (None, (*text).to_owned())).collect();
    history(&posts).measures()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn nothing_measures_nothing() {
    assert_eq!(History::default().measures(), HistoryMeasures::default());
    let undated = saying(&["a b c d e f"]);
    assert_eq!((undated.events, undated.per_active_hour, undated.link_entropy), (1.0, None, None));
}

#[test]
fn rates_are_over_hours_and_days_with_posts() {
    let times = [0, MINUTE, 30 * MINUTE, 2 * HOUR, 3 * DAY, 3 * DAY + 10 * MINUTE];
    let measures = at_times(times.map(|t| MORNING + t));
    assert_eq!(measures.per_active_hour, Some(2.0));
    assert_eq!(measures.per_active_day, Some(3.0));
    assert_eq!(measures.busiest_minute, Some(1.0));
    // 1, 29 and 90 minutes on the first day, 10 on the other, and a day before either.
    assert_eq!(measures.median_gap_minutes, Some(59.5));
    assert_eq!(measures.tireless_days, Some(0.0));
}

#[test]
fn posts_of_one_minute_have_no_gap() {
    let measures = at_times([0, 1, 2, 5 * MINUTE].map(|t| MORNING + t));
    assert_eq!(measures.busiest_minute, Some(3.0));
    assert_eq!(measures.median_gap_minutes, Some(2.5));
}

#[test]
fn a_date_is_no_time_of_day() {
    let measures = at_times((0..5).map(|day| (19_000 + day) * DAY));
    assert_eq!((measures.events, measures.timed_events, measures.per_active_day), (5.0, 0.0, None));
}

#[test]
fn who_never_sleeps_is_tireless() {
    // Every four hours; every hour but for six at night; the same night across midnight.
    let machine = at_times((0..60).map(|i| 19_000 * DAY + 1 + i * 4 * HOUR));
    assert_eq!(machine.tireless_days, Some(1.0));
    for shift in [0, 3 * HOUR, 9 * HOUR] {
        let hours = (0..10 * 24).filter(|i| i % 24 >= 6);
        let person = at_times(hours.map(|i| 19_000 * DAY + shift + 1 + i * HOUR));
        assert!(person.tireless_days < Some(0.11), "{shift}: {:?}", person.tireless_days);
    }
}

#[test]
fn templates_are_filled_in_differently() {
    let filled = saying(&[
        "It is 12 degrees in Leeds, wind from the north at 3 knots.",
        "It is 7 degrees in York, wind from the north at 12 knots.",
        "It is 9 degrees in Hull, wind from the north at 8 knots.",
        "I have never seen so much rain as in this city of ours.",
    ]);
    assert!(close(filled.template_share, 0.75), "{filled:?}");
    let copies = saying(&["The very same words once more, dear all."; 4]);
    assert!(close(copies.template_share, 0.0) && close(copies.copy_share, 1.0), "{copies:?}");
    let short = saying(&["Thank you!", "thank you", "Thank you.", "no 1", "no 2"]);
    assert!(close(short.template_share, 0.0) && close(short.copy_share, 0.0), "{short:?}");
}

#[test]
fn a_signature_is_no_template() {
    let word = |n: u64, i: u64| -> String {
        mix(n * 100 + i).to_string().chars().filter_map(|c| char::from_u32(u32::from(c) + 49)).collect()
    };
    let texts: Vec<String> = (0..6)
        .map(|n| (0..40).map(|i| word(n, i) + " ").collect::<String>() + "greetings from all of us in leeds")
        .collect();
    let measures = saying(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(close(measures.template_share, 0.0), "{measures:?}");
}

#[test]
fn copies_may_differ_in_a_word() {
    let measures = saying(&[
        "Does anybody know a good place to have an old bicycle repaired in the north of the city this week please",
        "Does anybody know a good place to have an old bicycle repaired in the north of the city this week",
        "My neighbour plays the trombone every evening and I have begun to like it more than I would admit",
    ]);
    assert!(close(measures.copy_share, 2.0 / 3.0), "{measures:?}");
}

#[test]
fn what_is_sent_again_at_once_counts_once() {
    let text = |i: i64| format!("This did not go through the first {i} times, so I try once more.");
    let again: Vec<_> = (0..5).map(|i| (Some(MORNING + i * 1_000_000), text(i))).collect();
    let measures = history(&again).measures();
    assert_eq!((measures.events, measures.separate_events), (5.0, 1.0));
    assert!(close(measures.template_share, 0.0), "{measures:?}");
    let dated: Vec<_> = (0..5).map(|i| (Some(19_000 * DAY), text(i))).collect();
    assert!(close(history(&dated).measures().separate_events, 1.0));
    let later: Vec<_> = (0..5).map(|i| (Some(MORNING + i * MINUTE), text(i))).collect();
    assert!(close(history(&later).measures().template_share, 1.0));
}

#[test]
fn links_to_one_site_have_no_entropy() {
    let one =
        saying(&["buy https://shop.example/1", "buy https://shop.example/2", "no link", "https://t.co/a"]);
    assert!(close(one.link_share, 0.5));
    assert_eq!(one.link_entropy, Some(0.0));
    let two = saying(&["https://a.example/1", "https://b.example/2"]);
    assert_eq!(two.link_entropy, Some(1.0));
}

#[test]
fn a_large_account_stays_small() {
    let posts: Vec<_> = (0..40_000_i64)
        .map(|i| (Some(MORNING + i * 7 * MINUTE), format!("number {i} of the posts of this account")))
        .collect();
    let history = history(&posts);
    assert!(history.size() < 120 << 10, "{}", history.size());
    let measures = history.measures();
    assert!(measures.timed_events >= 0.5 * MAX_MINUTES as f64);
    assert!(measures.per_active_hour.unwrap() > 8.0 && measures.tireless_days.unwrap() > 0.9, "{measures:?}");
    assert!(measures.template_share > 0.99, "{measures:?}");
}

#[test]
fn other_bytes_are_no_history() {
    let mut bytes = history(&[(Some(MORNING), "a few words".to_owned())]).to_bytes();
    assert!(History::from_bytes(&bytes).is_ok());
    bytes.pop();
    assert!(History::from_bytes(&bytes).is_err());
    assert!(History::from_bytes(&[0; 9]).is_err());
}

fn posts() -> impl Strategy<Value = Vec<(Option<i64>, String)>> {
    let times = proptest::option::of(0_i64..400);
    // Few words, so that posts repeat each other; few times, so that days fill.
    let post = (times, "(a |bc |d1 |https://x\\.example |https://y\\.example/1 |\"e\" |@f ){0,16}");
    let post = post.prop_map(|(at, text)| (at.map(|at| MORNING + at * 3 * HOUR / 7), text));
    proptest::collection::vec(post, 0..60)
}

proptest! {
    #[test]
    fn order_and_pieces_do_not_matter(posts in posts(), seed in any::<u64>(), cut in 0_usize..60) {
        let whole = history(&posts);
        let mut shuffled = posts.clone();
        shuffled.sort_by_key(|(at, text)| mix(hash_text(text) ^ seed ^ at.unwrap_or(0).cast_unsigned()));
        let (left, right) = shuffled.split_at(cut.min(shuffled.len()));
        let mut merged = history(right);
        merged.merge(&history(left));
        prop_assert_eq!(&merged, &whole);
        prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
        prop_assert_eq!(History::from_bytes(&whole.to_bytes()).unwrap(), whole);
    }

    #[test]
    fn shares_stay_in_range(posts in posts()) {
        let measures = history(&posts).measures();
        for share in [measures.template_share, measures.copy_share, measures.link_share, measures.tireless_days.unwrap_or(0.0)] {
            prop_assert!((0.0..=1.0).contains(&share));
        }
    }
}

/// The same, where more is posted than is remembered.
#[test]
fn order_and_pieces_do_not_matter_to_large_accounts() {
    let posts: Vec<_> = (0..9_000_i64)
        .map(|i| {
            (Some(MORNING + (mix(i.cast_unsigned()) % 20_000).cast_signed() * MINUTE), format!("words {i}"))
        })
        .collect();
    let whole = history(&posts);
    assert!(whole.measures().timed_events < 9_000.0);
    for pieces in [2, 3, 7] {
        let mut merged = History::default();
        for piece in (0..pieces).rev() {
            let part: Vec<_> = posts.iter().rev().skip(piece).step_by(pieces).cloned().collect();
            merged.merge(&history(&part));
        }
        assert_eq!(merged, whole, "{pieces}");
    }
}
