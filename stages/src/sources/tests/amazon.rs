use genome_schemas::Platform;

use super::{Dumps, Run, assert_no_handles, gzip};

fn run() -> Run {
    Run::of(Platform::Amazon)
}

const ADA: &str = "AEXAMPLEUSER0000000000000ADA";

fn review(more: &str) -> String {
    format!("{{\"user_id\":\"{ADA}\",\"asin\":\"B000000001\",\"parent_asin\":\"B000000009\"{more}}}\n")
}

#[test]
fn reviews_come_with_their_product() {
    let reviews = review(
        r#","rating":4.0,"title":"Good","text":"Nice<br />kettle","timestamp":1600985067452,"helpful_vote":3,"verified_purchase":true"#,
    ) + &review(r#","rating":2,"title":"","text":"","timestamp":1600985067"#)
        + "{\"user_id\":\"\",\"asin\":\"0000000003\",\"text\":\"nobody\",\"rating\":0.0}\n"
        + "{\"rating\":5.0}\n";
    let items = r#"{"parent_asin":"B000000009","title":"Blue Kettle","main_category":"Home","features":["1 &amp; 2",""," light "],"description":["A kettle."],"categories":["Kitchen","Kettles"],"price":null,"details":{"a":1}}
{"parent_asin":"B000000008","title":null,"main_category":"Home"}
"#;
    let dumps = Dumps::with(&[
        ("Kitchen.jsonl.gz", &gzip(reviews.as_bytes())),
        ("meta_Kitchen.jsonl.gz", &[gzip(items.as_bytes()), gzip(items.as_bytes())].concat()),
    ]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&[
            "author_id",
            "author_class",
            "rating",
            "title",
            "text",
            "at",
            "item_id",
            "engagement",
            "rule"
        ]),
        [
            format!(
                "<{ADA}> | person | 4.0 | Good | Nice\nkettle | 2020-09-24T22:04:27.452Z | B000000009 | 3 | -"
            ),
            format!("<{ADA}> | person | 2.0 | - |  | 2020-09-24T22:04:27Z | B000000009 | - | -"),
            "- | deleted | - | - | nobody | - | 0000000003 | - | -".into(),
            "- | unknown | - | - | - | - | - | - | not_a_record".into(),
        ]
    );
    let item = "item ?: Blue Kettle\n\nKitchen > Kettles\n1 & 2; light\nA kettle.";
    assert_eq!(
        found.lines(&["attributes", "context"]),
        [
            format!("{{\"verified\":true}} | {item}"),
            format!("{{}} | {item}"),
            "{} | -".into(),
            "- | -".into()
        ]
    );
    assert_no_handles(&found, &[ADA]);
    let [reviews, items] = &found.counts[..] else { panic!("{:?}", found.counts) };
    assert!(reviews.yields_events && !items.yields_events);
    assert_eq!((reviews.records, reviews.malformed, items.records), (4, 1, 4));
    assert_eq!(reviews.type_conflicts["rating"].count, 1, "a rating outside of 1 to 5 is told");
    assert!(found.plan.contains("SortMergeJoinExec"), "{}", found.plan);
}

#[test]
fn products_are_shortened_and_optional() {
    let reviews = review(r#","rating":4.0,"text":"t""#);
    let items =
        format!(r#"{{"parent_asin":"B000000009","title":"Kettle","description":["{}"]}}"#, "é ".repeat(2000));
    let dumps = Dumps::with(&[
        ("K.jsonl.gz", &gzip(reviews.as_bytes())),
        ("meta_K.jsonl.gz", &gzip(items.as_bytes())),
    ]);
    let found = run().read(&[dumps.path().to_owned()]);
    let context = &found.lines(&["context"])[0];
    assert!(context.starts_with("item ?: Kettle\n\né é") && context.ends_with('…'), "{context}");
    assert!(context.chars().count() <= "item ?: Kettle\n\n".len() + 600);
    let alone = run().read(&[dumps.path().join("K.jsonl.gz")]);
    assert_eq!(alone.lines(&["context"]), ["-"]);
    let error = run().read(&[dumps.path().join("meta_K.jsonl.gz")]).error.unwrap();
    assert!(error.contains("no reviews"), "{error}");
}

#[test]
fn the_same_words_about_two_products_are_two_events() {
    let reviews = review(r#","rating":4.0,"text":"t","timestamp":1"#);
    let other = reviews.replace("B000000009", "B000000007");
    let dumps = Dumps::with(&[("K.jsonl", (reviews.clone() + &reviews + &other).as_bytes())]);
    let keys = run().read(&[dumps.path().to_owned()]).lines(&["key"]);
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[2]);
}
