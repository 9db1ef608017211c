//! The plan of the ledger: every event, and for kept ones where they ended.

use anyhow::{Result, anyhow};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{JoinType, ScalarValue};
use datafusion::functions_aggregate::expr_fn::array_agg;
use datafusion::logical_expr::ExprFunctionExt as _;
use datafusion::prelude::{DataFrame, Expr, SessionContext, cast, col, concat, lit, when};
use genome_schemas::ledger;
use genome_stages::StageConfig;
use genome_stages::synthesis::Over;
use genome_stages::union_all;

use super::places::ShardPlaces;
use super::{Which, whole_table};
use crate::config::Project;
use crate::plan::Planned;

/// Columns of the plan beside those of the ledger: places and reasons of the event itself, and of its author.
pub(super) const LISTS: [&str; 4] = ["__places", "__reasons", "__shared_places", "__shared_reasons"];

const EVENT: &str = "__event";
const AUTHOR: &str = "__author";
const SOURCE: &str = "__source";
const PLACE: &str = "__place";
const REASON: &str = "__reason";

/// Every event with the columns of the ledger that an event has; with `shards`, those of [`LISTS`] too.
pub(super) async fn rows(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    shards: Option<&ShardPlaces>,
) -> Result<DataFrame> {
    let table = ledger();
    let columns: Vec<Expr> = table
        .schema
        .fields()
        .iter()
        .filter(|field| !["shards", "unused"].contains(&field.name().as_str()))
        .map(|field| match field.data_type() {
            // Lists of structs are not cast by plans; the decoder does it.
            DataType::List(_) => col(field.name()),
            // As they are read: short ones are moved without a look at their bytes.
            DataType::Utf8 => text(col(field.name())).alias(field.name()),
            data_type => cast(col(field.name()), data_type.clone()).alias(field.name()),
        })
        .collect();
    let events = |which: Which| whole_table(session, project, planned, "events", which);
    let nobody = || anyhow!("internal error: nothing writes events");
    let Some(shards) = shards else {
        return Ok(events(Which::All).await?.ok_or_else(nobody)?.select(columns)?);
    };
    // Only kept rows ended somewhere; only train events are part of what was made from their author's history.
    let mut with_author = columns.clone();
    let history = when(col("split").eq(lit("train")), col("author_id")).end()?;
    with_author.push(text(history).alias(AUTHOR));
    let kept = events(Which::Kept).await?.ok_or_else(nobody)?.select(with_author)?;
    let dropped = events(Which::Dropped).await?.ok_or_else(nobody)?;
    let endings = endings(session, project, planned, shards).await?;
    let list = |column: &str| -> Result<Expr> {
        let aggregate = array_agg(col(column)).filter(col(column).is_not_null());
        Ok(if column == REASON { aggregate.distinct() } else { aggregate }.build()?)
    };
    let own = endings.clone().filter(col(EVENT).is_not_null())?.aggregate(
        vec![col(EVENT).alias("__of_event")],
        vec![list(PLACE)?.alias(LISTS[0]), list(REASON)?.alias(LISTS[1])],
    )?;
    let shared = endings.filter(col(EVENT).is_null())?.aggregate(
        vec![col(AUTHOR).alias("__of_author"), col(SOURCE).alias("__of_source")],
        vec![list(PLACE)?.alias(LISTS[2]), list(REASON)?.alias(LISTS[3])],
    )?;
    let kept = kept.join(own, JoinType::Left, &["key"], &["__of_event"], None)?.join(
        shared,
        JoinType::Left,
        &[AUTHOR, "source"],
        &["__of_author", "__of_source"],
        None,
    )?;
    let mut wanted: Vec<Expr> =
        table.columns().filter(|name| !["shards", "unused"].contains(name)).map(col).collect();
    wanted.extend(LISTS.map(col));
    let kept = kept.select(wanted)?;
    let mut nowhere = columns;
    for name in LISTS {
        let list = kept.schema().field_with_unqualified_name(name)?.data_type().clone();
        nowhere.push(Expr::Literal(ScalarValue::try_from(&list)?, None).alias(name));
    }
    Ok(kept.union(dropped.select(nowhere)?)?)
}

fn text(expr: Expr) -> Expr {
    cast(expr, DataType::Utf8View)
}

/// Everything that was made of an event or of an author's history: a place in the shards, or the reason why it is in none.
async fn endings(
    session: &SessionContext,
    project: &Project,
    planned: &[Planned],
    shards: &ShardPlaces,
) -> Result<DataFrame> {
    let nothing =
        |data_type: &DataType| -> Result<Expr> { Ok(Expr::Literal(ScalarValue::try_from(data_type)?, None)) };
    let columns = |event: Expr, place: Expr, reason: Expr| {
        vec![
            cast(event, genome_schemas::key_type()).alias(EVENT),
            text(col("author_id")).alias(AUTHOR),
            text(col("source")).alias(SOURCE),
            cast(place, DataType::UInt64).alias(PLACE),
            text(reason).alias(REASON),
        ]
    };
    let no_text = nothing(&DataType::Utf8View)?;
    let no_place = nothing(&DataType::UInt64)?;
    let mut all = vec![shards.rows(session)?.select(columns(col("event_key"), col("place"), no_text))?];
    if let Some(dropped) = whole_table(session, project, planned, "examples", Which::Dropped).await? {
        let reason = concat(vec![text(col("task")), lit(": "), text(col("outcome"))]);
        all.push(dropped.select(columns(col("event_key"), no_place.clone(), reason))?);
    }
    if let Some(dropped) = whole_table(session, project, planned, "completions", Which::Dropped).await? {
        let reason = concat(vec![text(col("recipe")), lit(": "), text(col("outcome"))]);
        let of_authors: Vec<Expr> = recipes_over_authors(project).into_iter().map(lit).collect();
        let event = when(text(col("recipe")).in_list(of_authors, true), col("subject_key")).end()?;
        all.push(dropped.select(columns(event, no_place, reason))?);
    }
    union_all(all)?.ok_or_else(|| anyhow!("internal error: there is nothing to end in"))
}

fn recipes_over_authors(project: &Project) -> Vec<String> {
    let stages = project.config.stages.iter();
    let recipe = |stage: &StageConfig| match stage {
        StageConfig::Synthesize(stage) if stage.over == Over::Authors => Some(stage.recipe.clone()),
        _ => None,
    };
    stages.filter_map(recipe).collect()
}
