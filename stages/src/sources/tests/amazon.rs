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

/// Each line of the file alone, without context.
fn check(cases: &[(&str, &str)], columns: &[&str]) {
    for (line, expected) in cases {
        let dumps = Dumps::with(&[("Books_5.json.gz", &gzip(line.as_bytes()))]);
        let found = Run { context: false, ..run() }.read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(columns), [*expected], "{line}");
    }
}

#[test]
fn the_fields_of_each_release() {
    check(
        &[
            // 2014, without the reviewer's name.
            (
                r#"{"reviewerID": "AEXAMPLEUSER0000000000000ADA", "asin": "0000013714", "helpful": [2, 3], "reviewText": "Fine &amp; dandy", "overall": 5.0, "summary": "A hymnal", "unixReviewTime": 1252800000, "reviewTime": "09 13, 2009"}"#,
                "<AEXAMPLEUSER0000000000000ADA> | 0000013714 | 5.0 | A hymnal | Fine & dandy | 2009-09-13T00:00:00Z | 2 | {}",
            ),
            // 2018, with a size and a picture.
            (
                r#"{"overall": 4.0, "vote": "1,234", "verified": true, "reviewTime": "09 4, 2015", "reviewerID": "AEXAMPLEUSER0000000000000ADA", "asin": "B00001", "style": {"Size:": " 7.0 oz"}, "reviewerName": "Amazon Customer", "reviewText": "ok", "summary": "Four Stars", "unixReviewTime": 1441324800, "image": ["https://x.example/a.jpg"]}"#,
                "<AEXAMPLEUSER0000000000000ADA> | B00001 | 4.0 | Four Stars | ok | 2015-09-04T00:00:00Z | 1234 | {\"verified\":true}",
            ),
            // 2018, without text or summary.
            (
                r#"{"overall": 1.0, "verified": false, "reviewTime": "01 12, 2018", "reviewerID": "AEXAMPLEUSER0000000000000ADA", "asin": "B00001", "summary": "Broken", "unixReviewTime": 1515715200}"#,
                "<AEXAMPLEUSER0000000000000ADA> | B00001 | 1.0 | Broken |  | 2018-01-12T00:00:00Z | - | {\"verified\":false}",
            ),
            (
                r#"{"overall": 1.0, "reviewerID": "AEXAMPLEUSER0000000000000ADA", "asin": "B00001", "reviewText": "no summary", "unixReviewTime": 1515715200}"#,
                "<AEXAMPLEUSER0000000000000ADA> | B00001 | 1.0 | - | no summary | 2018-01-12T00:00:00Z | - | {}",
            ),
            // 2023, with milliseconds and pictures.
            (
                r#"{"rating": 3.0, "title": "", "text": "", "images": [{"small_image_url": "x", "attachment_type": "IMAGE"}], "asin": "B00002", "parent_asin": "B00001", "user_id": "AEXAMPLEUSER0000000000000ADA", "timestamp": 1588687728923, "helpful_vote": 0, "verified_purchase": true}"#,
                "<AEXAMPLEUSER0000000000000ADA> | B00001 | 3.0 | - |  | 2020-05-05T14:08:48.923Z | 0 | {\"verified\":true}",
            ),
        ],
        &["author_id", "item_id", "rating", "title", "text", "at", "engagement", "attributes"],
    );
}

#[test]
fn fields_that_are_not_as_they_should_be() {
    let review = |more: &str| format!(r#"{{"reviewerID":"A1","asin":"B1","reviewText":"t"{more}}}"#);
    let cases = [
        // Epochs that are wrong by a factor of ten, with a date beside them and without.
        (
            r#","unixReviewTime":13771296000,"reviewTime":"08 22, 2013""#,
            "2013-08-22T00:00:00Z | - | - | timestamp",
        ),
        (
            r#","unixReviewTime":137712960,"reviewTime":"08 22, 2013""#,
            "2013-08-22T00:00:00Z | - | - | timestamp",
        ),
        (r#","unixReviewTime":13771296000"#, "2013-08-22T00:00:00Z | - | - | timestamp"),
        (r#","unixReviewTime":137712960"#, "2013-08-22T00:00:00Z | - | - | timestamp"),
        (r#","unixReviewTime":"1377129600""#, "2013-08-22T00:00:00Z | - | - | "),
        (r#","reviewTime":"08 22, 2013""#, "2013-08-22T00:00:00Z | - | - | "),
        (r#","reviewTime":"22 08 2013""#, "- | - | - | reviewTime"),
        (r#","overall":"4.0""#, "- | 4.0 | - | "),
        (r#","overall":0.0"#, "- | - | - | rating"),
        (r#","overall":{"of":5}"#, "- | - | - | rating"),
        (r#","vote":"12""#, "- | - | 12 | "),
        (r#","vote":1234"#, "- | - | 1234 | "),
        (r#","vote":"many""#, "- | - | - | vote"),
        (r#","vote":null,"helpful":[0,0],"verified":null"#, "- | - | 0 | "),
        (r#","verified":"sometimes","summary":["x"]"#, "- | - | - | title verified_purchase"),
    ];
    for (more, expected) in cases {
        let dumps = Dumps::with(&[("Books.json", review(more).as_bytes())]);
        let found = Run { context: false, ..run() }.read(&[dumps.path().to_owned()]);
        let conflicts: Vec<&str> = found.counts[0].type_conflicts.keys().copied().collect();
        let shown = format!("{} | {}", found.lines(&["at", "rating", "engagement"])[0], conflicts.join(" "));
        assert_eq!(shown, expected, "{more}");
    }
}

#[test]
fn products_as_python_literals() {
    let reviews = "{\"reviewerID\":\"A1\",\"asin\":\"0000037214\",\"reviewText\":\"t\"}\n\
                   {\"reviewerID\":\"A1\",\"asin\":\"B1\",\"reviewText\":\"t\"}\n";
    let items = r#"{'asin': '0000037214', 'title': u'Caf\xe9 "Noir" \u2013 Poems', 'price': 9.95, 'imUrl': None, 'related': {'also_bought': ['B1', "B2"]}, 'salesRank': {'Books': 1233557}, 'brand': '', 'categories': [['Books', 'Poetry'], ['Gifts']], 'description': "It's a small book,\nwith \"quotes\"."}
{'asin': 'B1', 'title': 'cut in the mid
{'asin': 'B1', 'title': __import__('os').getcwd()}
{'title': 'nameless'}
"#;
    let dumps = Dumps::with(&[
        ("reviews_Books_5.json.gz", &gzip(reviews.as_bytes())),
        ("meta_Books.json.gz", &gzip(items.as_bytes())),
    ]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["item_id", "context"]),
        [
            "0000037214 | item ?: Café \"Noir\" – Poems\n\nBooks > Poetry > Gifts\nIt's a small book,\nwith \"quotes\".",
            "B1 | -",
        ]
    );
    let items = found.counts.iter().find(|count| !count.yields_events).unwrap();
    assert_eq!((items.records, items.malformed), (4, 3));
    assert!(items.type_conflicts.is_empty(), "{:?}", items.type_conflicts);
}

#[test]
fn python_literals_begin_in_many_ways() {
    let review = b"{\"reviewerID\":\"A1\",\"asin\":\"B1\",\"reviewText\":\"t\"}\n";
    for (item, context) in [
        ("{'asin': 'B1', 'title': 'Kettle'}", "item ?: Kettle"),
        ("{u'asin': u'B1', u'title': u'Kettle'}", "item ?: Kettle"),
        ("{ 'asin': 'B1', 'title': 'Kettle'}", "item ?: Kettle"),
        (" {\"asin\": 'B1', \"title\": u\"Kettle\"}", "item ?: Kettle"),
        ("{\"asin\": \"B1\", \"title\": \"Kettle\", \"price\": None}", "item ?: Kettle"),
        ("{u'asin': u'B1', u'title': kettle()}", "-"),
        ("{'asin'", "-"),
    ] {
        let dumps = Dumps::with(&[("K.json", review), ("meta_K.jsonl", format!("{item}\n").as_bytes())]);
        let found = run().read(&[dumps.path().to_owned()]);
        assert_eq!(found.lines(&["context"]), [context], "{item}");
        let items = found.counts.iter().find(|count| !count.yields_events).unwrap();
        assert_eq!((items.records, items.malformed), (1, u64::from(context == "-")), "{item}");
    }
}

#[test]
fn products_of_2018() {
    let reviews = "{\"reviewerID\":\"A1\",\"asin\":\"B1\",\"reviewText\":\"t\"}\n".to_owned()
        + "{\"reviewerID\":\"A1\",\"asin\":\"B2\",\"reviewText\":\"t\"}\n"
        + "{\"reviewerID\":\"A1\",\"asin\":\"B3\",\"reviewText\":\"t\"}\n";
    let items = r#"{"category": ["Gift Cards", "By Brand"], "tech1": "", "fit": "", "description": ["A card", "for all"], "title": "Card &amp; Box", "also_buy": [], "feature": ["plain"], "rank": "1,234 in Gift Cards (", "details": {}, "main_cat": "Gift Cards", "date": "", "price": "$25.00 - $50.00", "asin": "B1", "imageURL": [], "imageURLHighRes": []}
{"category": [], "description": [], "title": "Two", "rank": [">#1 in x"], "main_cat": "<img src=\"x.jpg\" alt=\"y\"/>", "price": ".a-box {color: red}", "asin": "B2", "similar_item": "<table></table>"}
{"category": [], "description": "one text", "title": "Three", "rank": null, "main_cat": "Gift Cards", "details": {"Shipping:": {"a": 1}}, "price": 25.0, "asin": "B3", "image": ["x"]}
"#;
    let dumps = Dumps::with(&[
        ("Gift_Cards_5.json", reviews.as_bytes()),
        ("meta_Gift_Cards.json.gz", &gzip(items.as_bytes())),
    ]);
    let found = run().read(&[dumps.path().to_owned()]);
    assert_eq!(
        found.lines(&["context"]),
        [
            "item ?: Card & Box\n\nGift Cards > By Brand\nplain\nA card for all",
            "item ?: Two",
            "item ?: Three\n\nGift Cards\none text",
        ]
    );
    assert!(found.counts.iter().all(|count| count.type_conflicts.is_empty() && count.malformed == 0));
}

#[test]
fn the_table_of_the_old_public_set() {
    let table = "marketplace\tcustomer_id\treview_id\tproduct_id\tproduct_parent\tproduct_title\tproduct_category\tstar_rating\t\
                 helpful_votes\ttotal_votes\tvine\tverified_purchase\treview_headline\treview_body\treview_date\n\
                 US\tAEXAMPLEUSER0000000000000ADA\tR1\t0000013714\t7\tThe \"Blue\" Book\tBooks\t5\t3\t4\tN\tY\t\
                 \"So\" good\t\"Quoted and left open<br />line\t2015-08-31\n\
                 US\tAEXAMPLEUSER0000000000000ADA\tR2\tB2\t8\tKettle\tHome\t1\t0\t0\tN\tN\tbad\t\t2015-08-31\r\n\
                 US\tshort row\n\
                 US\tAEXAMPLEUSER0000000000000ADA\tR3\tB2\t8\tKettle\tHome\tfive\t\t\tY\tmaybe\tcaf\u{e9}\tt\tyesterday\n";
    let dumps = Dumps::with(&[("amazon_reviews_us_Books_v1_00.tsv.gz", &gzip(table.as_bytes()))]);
    let found = run().read(&[dumps.path().to_owned()]);
    let columns = [
        "native_id",
        "author_id",
        "item_id",
        "rating",
        "title",
        "text",
        "at",
        "engagement",
        "attributes",
        "context",
    ];
    let ada = "<AEXAMPLEUSER0000000000000ADA>";
    assert_eq!(
        found.lines(&columns),
        [
            format!(
                "R1 | {ada} | 0000013714 | 5.0 | \"So\" good | \"Quoted and left open\nline | 2015-08-31T00:00:00Z | 3 | \
                 {{\"verified\":true}} | item ?: The \"Blue\" Book"
            ),
            format!(
                "R2 | {ada} | B2 | 1.0 | bad |  | 2015-08-31T00:00:00Z | 0 | {{\"verified\":false}} | item ?: Kettle"
            ),
            "- | - | - | - | - | - | - | - | - | -".into(),
            format!("R3 | {ada} | B2 | - | caf\u{e9} | t | - | - | {{}} | item ?: Kettle"),
        ]
    );
    assert_eq!(found.lines(&["rule"])[2], "wrong_columns");
    let conflicts: Vec<&str> = found.counts[0].type_conflicts.keys().copied().collect();
    assert_eq!(conflicts, ["rating", "reviewTime", "verified_purchase"]);
}

#[test]
fn a_pointer_in_place_of_the_data_is_told() {
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n", "0".repeat(64));
    for name in ["Gift_Cards_5.json.gz", "Gift_Cards.jsonl"] {
        let dumps = Dumps::with(&[(name, pointer.as_bytes())]);
        let error = run().read(&[dumps.path().to_owned()]).error.unwrap();
        assert!(error.contains(name) && error.contains("git lfs pull"), "{error}");
    }
}
