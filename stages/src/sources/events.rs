//! From records to `events`: joins the context, and puts the columns into the table's order.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::functions::core::expr_fn::named_struct;
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{ExprFunctionExt, JoinType, cast, lit, when};
use datafusion::prelude::{DataFrame, Expr, coalesce, col};
use genome_schemas::{Outcome, Platform};

use super::amazon::holds_items;
use super::author_class::AuthorClass;
use super::batches::READER_STAGE;
use super::blogger::may_hold_comments;
use super::config::{Deletions, SourceConfig};
use super::file_group::{ReaderKind, dump_files};
use super::listing::{InputFile, list_files};
use super::options::SourceContext;
use super::scan::scan;
use super::twitter::{holds_users, may_hold_notices};
use crate::StageError;

impl SourceConfig {
    /// The records of this source as a frame of table `events`.
    ///
    /// Every record of the files is one row, a malformed one included; joins for context neither add rows nor lose
    /// any. Row order is not defined. The plan is lazy: files are listed here, and opened when it runs.
    ///
    /// # Errors
    /// A path that means no file, or DataFusion's own. When the plan runs: a file that cannot be read, as an
    /// external error that holds a [`StageError::Input`].
    pub fn events(&self, cx: &SourceContext) -> Result<DataFrame, StageError> {
        let files = list_files(self)?;
        let read = |reader: ReaderKind, files: &[InputFile]| {
            scan(cx, self, reader.produces(), dump_files(&self.name, reader, files))
        };
        let frame = match self.platform {
            Platform::Blogger => {
                let posts = read(ReaderKind::BloggerEvents, &files)?;
                let feeds: Vec<_> = if self.context {
                    files.into_iter().filter(may_hold_comments).collect()
                } else {
                    Vec::new()
                };
                if feeds.is_empty() {
                    events(posts, &[])?
                } else {
                    let answered = Lookup { prefix: "parent", id: "parent_id", role: "post" };
                    let found = answered.join(posts, read(ReaderKind::BloggerPosts, &feeds)?)?;
                    events(found, &[answered.message()])?
                }
            }
            Platform::Reddit => {
                let comments = read(ReaderKind::RedditEvents, &files)?;
                if self.context {
                    // The parent first, so that the larger texts of submissions go through one sort only.
                    let parents = Lookup { prefix: "parent", id: "parent_id", role: "comment" };
                    let roots = Lookup { prefix: "root", id: "root_id", role: "post" };
                    let found = parents.join(comments, read(ReaderKind::RedditComments, &files)?)?;
                    let found = roots.join(found, read(ReaderKind::RedditSubmissions, &files)?)?;
                    events(found, &[roots.message(), parents.message()])?
                } else {
                    events(comments, &[])?
                }
            }
            Platform::Twitter => self.tweets(files, &read)?,
            Platform::Amazon => {
                let (items, reviews): (Vec<_>, Vec<_>) = files.into_iter().partition(holds_items);
                if reviews.is_empty() {
                    return Err(StageError::Input {
                        path: self.paths.join(", "),
                        reason: format!("source `{}` has product files (meta_*) and no reviews", self.name),
                    });
                }
                let reviews = read(ReaderKind::AmazonReviews, &reviews)?;
                if self.context && !items.is_empty() {
                    let reviewed = Lookup { prefix: "item", id: "root_id", role: "item" };
                    let found = reviewed.join(reviews, read(ReaderKind::AmazonItems, &items)?)?;
                    events(found, &[reviewed.message(), quoted("item")])?
                } else {
                    events(reviews, &[quoted("item")])?
                }
            }
        };
        Ok(frame)
    }

    /// Tweets, with what the accounts among the files say of their authors, without those that a notice in any of the
    /// files takes back.
    fn tweets(
        &self,
        files: Vec<InputFile>,
        read: &impl Fn(ReaderKind, &[InputFile]) -> datafusion::error::Result<DataFrame>,
    ) -> Result<DataFrame, StageError> {
        let (users, files): (Vec<_>, Vec<_>) = files.into_iter().partition(holds_users);
        if files.is_empty() {
            return Err(StageError::Input {
                path: self.paths.join(", "),
                reason: format!("source `{}` has files of users and none of tweets", self.name),
            });
        }
        let mut tweets = read(ReaderKind::TwitterEvents, &files)?;
        if !users.is_empty() {
            let accounts = Lookup { prefix: "account", id: "author_id", role: "account" };
            tweets = accounts.join(tweets, read(ReaderKind::TwitterUsers, &users)?)?;
            let stated = col("author_class").eq(lit("person")).and(accounts.message().is_there);
            tweets = replaced(tweets, &stated, &[("author_class", col(accounts.column("content")))])?;
        }
        let noticed: Vec<InputFile> = files.iter().filter(|file| may_hold_notices(file)).cloned().collect();
        let deletions = || read(ReaderKind::TwitterDeletions, &noticed);
        if !noticed.is_empty() {
            // An edited tweet goes by the id of its first version, and a notice may name any.
            let first = Lookup { prefix: "deletion", id: "native_id", role: "notice" };
            let version = Lookup { prefix: "version_deletion", id: "own_id", role: "notice" };
            tweets = version.join(first.join(tweets, deletions()?)?, deletions()?)?;
            let is_noticed = first.message().is_there.or(version.message().is_there);
            let taken_back = is_noticed.and(col("outcome").eq(lit(Outcome::Kept.as_str())));
            let mut marks = vec![("author_class", lit(AuthorClass::Deleted.as_str()))];
            if self.deletions == Deletions::Honour {
                let rule = coalesce(vec![col(first.column("content")), col(version.column("content"))]);
                marks.push(("rule", rule));
                marks.push(("stage", lit(READER_STAGE)));
                marks.push(("outcome", lit(Outcome::Deleted.as_str())));
            }
            tweets = replaced(tweets, &taken_back, &marks)?;
            if self.deletions == Deletions::Honour {
                tweets = without_quotations(tweets, deletions()?)?;
            }
        }
        if !self.context {
            return events(tweets, &[quoted("tweet")]);
        }
        let mut answered = read(ReaderKind::TwitterTweets, &files)?;
        if !noticed.is_empty() && self.deletions == Deletions::Honour {
            let gone = deletions()?.select(vec![col("own_id").alias("deleted_id")])?;
            answered = answered.join(gone, JoinType::LeftAnti, &["own_id"], &["deleted_id"], None)?;
        }
        let parent = Lookup { prefix: "parent", id: "parent_id", role: "tweet" };
        events(parent.join(tweets, answered)?, &[parent.message(), quoted("tweet")])
    }
}

/// Tweets without the words that they quote of those that a notice takes back.
fn without_quotations(tweets: DataFrame, notices: DataFrame) -> Result<DataFrame, StageError> {
    let quotation = Lookup { prefix: "quotation", id: "quoted_id", role: "notice" };
    let tweets = quotation.join(tweets, notices)?;
    let nothing = || lit(ScalarValue::Utf8View(None));
    let columns = [("quoted_name", nothing()), ("quoted_content", nothing())];
    replaced(tweets, &quotation.message().is_there, &columns)
}

/// `rows` with other values in some columns where `when` is true. Columns are replaced in order, and `when` is asked for
/// each, so the ones that it looks at come last.
fn replaced(rows: DataFrame, condition: &Expr, values: &[(&str, Expr)]) -> Result<DataFrame, StageError> {
    let mut rows = rows;
    for (name, value) in values {
        let value = cast(value.clone(), DataType::Utf8View);
        let value = when(condition.clone(), value).otherwise(col(*name))?;
        rows = rows.with_column(name, value)?;
    }
    Ok(rows)
}

/// A message in the context of an event: where it stands, and what makes it one.
struct ContextMessage {
    is_there: Expr,
    message: Expr,
}

fn message(role: &str, name: &str, content: &str) -> ContextMessage {
    let fields = [
        ("role", cast(lit(role), DataType::Utf8View)),
        ("name", cast(col(name), DataType::Utf8View)),
        ("content", cast(col(content), DataType::Utf8View)),
        ("learn", lit(false)),
    ];
    let arguments = fields.into_iter().flat_map(|(field, value)| [lit(field), value]).collect();
    ContextMessage { is_there: col(content).is_not_null(), message: named_struct(arguments) }
}

/// Somebody else's words that stand in the record itself.
fn quoted(role: &str) -> ContextMessage {
    message(role, "quoted_name", "quoted_content")
}

/// Finds the message that an event refers to.
struct Lookup {
    /// Begins the names of the columns that the join adds.
    prefix: &'static str,
    /// Column of the event that holds the message's id.
    id: &'static str,
    /// Role of the message in the context.
    role: &'static str,
}

impl Lookup {
    fn column(&self, name: &str) -> String {
        format!("{}_message_{name}", self.prefix)
    }

    /// `events` with the message each of them refers to, if it is there.
    ///
    /// The events are the right side of the join: a sort-merge join streams them, and so does the hash join that
    /// DataFusion falls back to in a session of one partition, which keeps the messages in memory.
    ///
    /// Messages are made unique by their id first: of several versions the one retrieved last, then the one whose
    /// content hash is smallest, so that the order of files decides nothing.
    fn join(&self, events: DataFrame, messages: DataFrame) -> Result<DataFrame, StageError> {
        let rank = row_number()
            .partition_by(vec![col("own_id")])
            .order_by(vec![col("retrieved").sort(false, false), col("tie").sort(true, false)])
            .build()?
            .alias("rank");
        let (id, name, content) = (self.column("id"), self.column("name"), self.column("content"));
        let (events, messages) = (contiguous(events)?, contiguous(messages)?);
        let messages = messages.window(vec![rank])?.filter(col("rank").eq(lit(1_u64)))?.select(vec![
            col("own_id").alias(&id),
            col("name").alias(&name),
            col("content").alias(&content),
        ])?;
        Ok(messages.join(events, JoinType::Right, &[id.as_str()], &[self.id], None)?)
    }

    fn message(&self) -> ContextMessage {
        message(self.role, &self.column("name"), &self.column("content"))
    }
}

/// Rows with strings that lie one behind the other. A view keeps the whole buffer that it points into, also when most of its
/// rows have gone elsewhere: sorted and exchanged, views hold many times what they show.
fn contiguous(rows: DataFrame) -> Result<DataFrame, StageError> {
    let columns = rows.schema().fields().iter().map(|field| match field.data_type() {
        DataType::Utf8View => cast(col(field.name()), DataType::Utf8).alias(field.name()),
        _ => col(field.name()),
    });
    let columns: Vec<Expr> = columns.collect();
    Ok(rows.select(columns)?)
}

/// `records` in the columns of table `events`, with at most two messages of context, the root first.
fn events(records: DataFrame, context: &[ContextMessage]) -> Result<DataFrame, StageError> {
    let nothing = lit(ScalarValue::try_from(&view_message_list())?);
    let list =
        |messages: &[&ContextMessage]| make_array(messages.iter().map(|m| m.message.clone()).collect());
    let context = match context {
        [] => nothing,
        [only] => when(only.is_there.clone(), list(&[only])).otherwise(nothing)?,
        [first, second, ..] => {
            when(first.is_there.clone().and(second.is_there.clone()), list(&[first, second]))
                .when(first.is_there.clone(), list(&[first]))
                .when(second.is_there.clone(), list(&[second]))
                .otherwise(nothing)?
        }
    };
    let table = genome_schemas::events();
    let no_redactions = lit(ScalarValue::try_from(&with_views(&genome_schemas::redaction_list_type()))?);
    let columns = table.schema.fields().iter().map(|field| {
        let name = field.name().as_str();
        let value = match name {
            "context" => context.clone(),
            "split" => lit(ScalarValue::Utf8View(None)),
            "redactions" => no_redactions.clone(),
            "measured" | "limit_value" | "similarity" => lit(ScalarValue::Float64(None)),
            "matched" => lit(ScalarValue::Utf8(None)),
            "duplicate_of" => lit(ScalarValue::FixedSizeBinary(16, None)),
            _ => return col(name),
        };
        value.alias(name)
    });
    let frame = records.select(columns.collect::<Vec<_>>())?;
    table.check(frame.schema().as_arrow())?;
    Ok(frame)
}

/// The type of a context column.
fn view_message_list() -> DataType {
    with_views(&genome_schemas::message_list_type())
}

/// A type with strings as views, as everything that is read from files has them.
fn with_views(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 => DataType::Utf8View,
        DataType::List(item) => {
            let item = item.as_ref().clone();
            let inner = with_views(item.data_type());
            DataType::List(item.with_data_type(inner).into())
        }
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| {
                    let inner = with_views(field.data_type());
                    field.as_ref().clone().with_data_type(inner)
                })
                .collect(),
        ),
        other => other.clone(),
    }
}
