//! A message: one turn of what was said, seen or asked, and whether a trainer learns it.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields};
use serde::{Deserialize, Serialize};

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant` in examples; `post`, `comment`, `tweet`, `item` in an event's context.
    pub role: String,
    /// Pseudonym of the speaker, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is said.
    pub content: String,
    /// Whether this message carries loss in training.
    #[serde(default)]
    pub learn: bool,
}

/// Fields of the Arrow struct of a [`Message`].
pub fn message_fields() -> Fields {
    Fields::from(vec![
        Field::new("role", DataType::Utf8, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("content", DataType::Utf8, false),
        Field::new("learn", DataType::Boolean, false),
    ])
}

/// The Arrow type of a [`Message`].
pub fn message_type() -> DataType {
    DataType::Struct(message_fields())
}

/// The Arrow type of a list of messages.
pub fn message_list_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", message_type(), true)))
}
