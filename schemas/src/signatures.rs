//! Tables `signatures` and `text_index`: what deduplication looks at of each event, and nothing else.

use arrow_schema::{DataType, Field};

use crate::key::key_type;
use crate::ledger::ledger_fields;
use crate::table::Table;

/// Table `signatures`: what deduplication looks at of each event. It is small beside the events, so that all earlier
/// ones can be looked through again without reading a dump or a text.
///
/// - `key`, `source`: those of the event;
/// - `row`: the place of the record (source, file, offset) as a key: several events of one key are told apart by it;
/// - `current`: of a record of which there is a later version, the key of that version; such a row takes no part in the
///   rest;
/// - `digest`: equal for texts that count as the same, in the scope in which they are compared; null where there is no
///   text, or no scope;
/// - `precedence`: bytes in whose order the texts of one digest, or alike ones, stay: time (big endian, null last), rank of
///   the source (2 bytes), key, row; behind them 8 bytes that tell authors apart and one that is 1 for automation;
/// - `bands`: 4 bytes for each band of the text's set of shingles (see `genome_kernels::dedup`), little endian; null for
///   a text shorter than a shingle;
/// - `shingles`: 4 bytes for each shingle, ascending, little endian, mixed with a hash of the scope unless texts of all are
///   compared; null as `bands`;
/// - `listed`: place in the config of the list of known hashes that has the text; null for none.
pub fn signatures() -> Table {
    let mut fields = vec![
        Field::new("key", key_type(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("row", key_type(), false),
        Field::new("current", key_type(), true),
        Field::new("digest", key_type(), true),
        Field::new("precedence", DataType::Binary, false),
        Field::new("bands", DataType::Binary, true),
        Field::new("shingles", DataType::Binary, true),
        Field::new("listed", DataType::UInt16, true),
    ];
    fields.extend(ledger_fields());
    Table::new("signatures", fields)
}

/// A published index: the signatures of the texts that stayed in one run, for others to be held against. It stands in a
/// folder of its own, outside of any store, and holds no text, name or time. Its hashes are not keyed: whoever has a text can
/// tell whether it is in the index.
///
/// The columns are those of [`signatures()`]. It is read by no stage as a table of its run, so it is none of
/// [`crate::all_tables`].
pub fn text_index() -> Table {
    let columns = ["key", "digest", "bands", "shingles"];
    let all = signatures();
    let fields = all.schema.fields().iter().filter(|field| columns.contains(&field.name().as_str()));
    Table::new("text_index", fields.map(|field| field.as_ref().clone()).collect())
}
