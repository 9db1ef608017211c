//! Product reviews in the layout of 2023: `Kitchen_Tools.jsonl.gz` and `meta_Kitchen_Tools.jsonl.gz`.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use serde::Deserialize;

use crate::corpus::{
    Author, Crowd, Dump, DumpFile, Folded, Place, Planted, Record, check_texts, load, number_of, person,
};
use crate::instant::Instant;
use crate::json::{Dialect, Json};
use crate::pack::gzip;

const PEOPLE: [(&str, &str); 3] = [
    ("people/amazon/bakery_owner.toml", include_str!("people/amazon/bakery_owner.toml")),
    ("people/amazon/retired_teacher.toml", include_str!("people/amazon/retired_teacher.toml")),
    ("people/amazon/sore_hands.toml", include_str!("people/amazon/sore_hands.toml")),
];
const CROWD: (&str, &str) = ("crowd/amazon.toml", include_str!("crowd/amazon.toml"));
const PRODUCTS: (&str, &str) = ("crowd/products.toml", include_str!("crowd/products.toml"));
const REVIEWS: &str = "Kitchen_Tools.jsonl";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    products: BTreeMap<String, Product>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    /// Key of the metadata.
    parent_asin: String,
    /// What reviews of one variant name instead.
    asin: Option<String>,
    title: Option<String>,
    store: Option<String>,
    price: Option<f64>,
    average_rating: f64,
    rating_number: i64,
    #[serde(default)]
    features: Vec<String>,
    description: Option<Folded>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    details: BTreeMap<String, String>,
    /// Reviewed, but not in the metadata file.
    #[serde(default)]
    unlisted: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Review {
    key: Option<String>,
    at: Instant,
    item: String,
    rating: f64,
    title: Option<String>,
    text: Option<Folded>,
    #[serde(default)]
    helpful: i64,
    #[serde(default)]
    unverified: bool,
    #[serde(default)]
    picture: bool,
    planted: Option<Planted>,
}

/// Reviews and metadata.
pub(crate) fn dump() -> anyhow::Result<Dump> {
    let mut people = Vec::new();
    let mut authors: Vec<Author<(), Review>> = Vec::new();
    for file in PEOPLE {
        let mut author = load(file)?;
        people.push(person(&mut author)?);
        authors.push(author);
    }
    authors.extend(load::<Crowd<(), Review>>(CROWD)?.authors);
    let Catalogue { products } = load(PRODUCTS)?;

    let mut reviews: Vec<(String, Review)> = Vec::new();
    for Author { handle, posts, .. } in authors {
        reviews.extend(posts.into_iter().map(|review| (handle.clone(), review)));
    }
    reviews.sort_by(|(a, x), (b, y)| (a, x.at).cmp(&(b, y.at)));
    let keys: HashMap<String, usize> = reviews
        .iter()
        .enumerate()
        .filter_map(|(index, (_, review))| Some((review.key.clone()?, index)))
        .collect();

    let mut records = Vec::new();
    let mut bytes = Vec::new();
    for index in 0..reviews.len() {
        let (handle, mut review) = reviews[index].clone();
        if let Some(Planted::Duplicate { of }) = &review.planted {
            let original = *keys.get(of).with_context(|| format!("nothing has the key `{of}`"))?;
            let (author, Review { title, text, .. }) = reviews[original].clone();
            review = Review {
                title,
                text,
                planted: Some(Planted::Duplicate { of: id(&author, original) }),
                ..review
            };
        }
        let product = products.get(&review.item).with_context(|| format!("no product `{}`", review.item))?;
        let mut line = Dialect::Python.print(&review_json(&handle, &review, product))?;
        if review.planted == Some(Planted::Malformed) {
            line.truncate(line.len() * 2 / 3);
        }
        let text = [review.title.as_deref(), review.text.as_ref().map(|text| text.0.as_str())];
        records.push(Record {
            id: id(&handle, index),
            handle,
            place: Place {
                file: format!("amazon/{REVIEWS}.gz"),
                member: None,
                index,
                offset: Some(bytes.len()),
            },
            at: review.at.plain(),
            text: text.into_iter().flatten().collect::<Vec<_>>().join("\n\n"),
            planted: review.planted,
        });
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    let mut meta = Vec::new();
    for product in products.values().filter(|product| !product.unlisted) {
        meta.extend_from_slice(Dialect::Python.print(&product_json(product))?.as_bytes());
        meta.push(b'\n');
    }
    let files = vec![
        DumpFile { path: format!("amazon/{REVIEWS}.gz"), bytes: gzip(REVIEWS, &bytes)?, metadata: 0 },
        DumpFile {
            path: format!("amazon/meta_{REVIEWS}.gz"),
            bytes: gzip(&format!("meta_{REVIEWS}"), &meta)?,
            metadata: products.values().filter(|product| !product.unlisted).count(),
        },
    ];
    let dump = Dump { platform: "amazon", files, records, people };
    check_texts(&dump, &(300..=900))?;
    Ok(dump)
}

/// Reviews have no id of their own.
fn id(handle: &str, index: usize) -> String {
    format!("{handle}#{index}")
}

fn review_json(handle: &str, review: &Review, product: &Product) -> Json {
    let Product { parent_asin, asin, .. } = product;
    let milliseconds =
        i64::try_from(number_of(&format!("{handle}{}", review.at.unix)) % 1000).unwrap_or_default();
    let images = if review.picture {
        let image =
            |size: &str| Json::text(format!("https://images.example.com/{parent_asin}._SL{size}_.jpg"));
        vec![Json::Object(vec![
            ("small_image_url", image("256")),
            ("medium_image_url", image("800")),
            ("large_image_url", image("1600")),
            ("attachment_type", Json::text("IMAGE")),
        ])]
    } else {
        Vec::new()
    };
    Json::Object(vec![
        ("rating", Json::Float(review.rating)),
        ("title", Json::text(review.title.clone().unwrap_or_default())),
        ("text", Json::text(review.text.clone().unwrap_or_default().0.replace('\n', "<br />"))),
        ("images", Json::List(images)),
        ("asin", Json::text(asin.as_ref().unwrap_or(parent_asin))),
        ("parent_asin", Json::text(parent_asin)),
        ("user_id", Json::text(handle)),
        ("timestamp", Json::Integer(review.at.unix * 1000 + milliseconds)),
        ("helpful_vote", Json::Integer(review.helpful)),
        ("verified_purchase", Json::Bool(!review.unverified)),
    ])
}

fn product_json(product: &Product) -> Json {
    let texts = |texts: &[String]| Json::List(texts.iter().map(Json::text).collect());
    let description = product.description.as_ref().map_or_else(Vec::new, |text| vec![Json::text(&text.0)]);
    let details = product.details.iter().map(|(key, value)| (key.clone(), Json::text(value))).collect();
    Json::Object(vec![
        ("main_category", Json::text("Kitchen Tools")),
        ("title", product.title.as_ref().map_or(Json::Null, Json::text)),
        ("average_rating", Json::Float(product.average_rating)),
        ("rating_number", Json::Integer(product.rating_number)),
        ("features", texts(&product.features)),
        ("description", Json::List(description)),
        ("price", product.price.map_or(Json::Null, Json::Float)),
        ("images", Json::List(Vec::new())),
        ("videos", Json::List(Vec::new())),
        ("store", product.store.as_ref().map_or(Json::Null, Json::text)),
        ("categories", texts(&product.categories)),
        ("details", Json::Table(details)),
        ("parent_asin", Json::text(&product.parent_asin)),
        ("bought_together", Json::Null),
    ])
}
