//! Personal data in texts is replaced by typed placeholders.

use std::fmt;
use std::sync::Arc;

use datafusion::prelude::{DataFrame, col};
use genome_kernels::text::pii::{PiiKind, PiiKinds};
use genome_schemas::events;
use serde::{Deserialize, Serialize};

use crate::StageError;
use crate::functions::{Redactor, redact, redactions, with_redactions};
use crate::mark::column;
use crate::stage::{Card, Scope, Stage, StageContext};

/// Replaces personal data in title and text by placeholders such as `<EMAIL_417>`, and notes where it stood. Drops
/// nothing. Contexts are other people's texts and are scrubbed where a prompt or an example is made of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PiiScrub {
    /// Kinds of identifiers that are replaced.
    pub kinds: Vec<PiiKind>,
    /// Whether one value of one author has the same number everywhere, from 100 to 999; numbers of different authors say
    /// nothing of each other. Without it every e-mail address is `<EMAIL>`.
    pub numbered: bool,
}

impl Default for PiiScrub {
    fn default() -> Self {
        Self { kinds: PiiKind::ALL.to_vec(), numbered: true }
    }
}

/// The secret by which placeholders are numbered: without it, a number does not tell whether a guess at the value is
/// right.
#[derive(Clone, Copy, Default)]
pub struct RedactionKey([u8; 32]);

impl RedactionKey {
    /// Derives the key from the secret by which authors are hashed.
    pub fn from_secret(secret: impl AsRef<[u8]>) -> Self {
        Self(blake3::derive_key("genome 2026 numbers of placeholders", secret.as_ref()))
    }

    /// The number of a value of an author.
    pub(crate) fn number(&self, author: &str, kind: PiiKind, value: &str) -> u32 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in [author, kind.as_str(), value] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let mut head = [0; 4];
        head.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
        100 + u32::from_le_bytes(head) % 900
    }
}

impl fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedactionKey(secret)")
    }
}

impl Stage for PiiScrub {
    fn card(&self) -> Card {
        Card {
            name: "pii_scrub",
            version: 4,
            scope: Scope::Row,
            at_rest: false,
            input: events,
            output: events,
            reads: &[],
            outcomes: &[],
        }
    }

    fn problems(&self, _cx: &StageContext) -> Vec<String> {
        let is_empty = self.kinds.is_empty();
        is_empty.then(|| "pii_scrub.kinds must name at least one kind".to_owned()).into_iter().collect()
    }

    fn plan(&self, cx: &StageContext, rows: DataFrame) -> Result<DataFrame, StageError> {
        let kinds: PiiKinds = self.kinds.iter().copied().collect();
        let redactor = Arc::new(Redactor { kinds, key: self.numbered.then_some(cx.redaction_key) });
        let columns = rows
            .schema()
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                name @ ("title" | "text") => {
                    Ok(redact(&redactor, column(name), col("author_id")).alias(name))
                }
                "redactions" => with_redactions(&redactions(&redactor, field.data_type())?),
                name => Ok(column(name)),
            })
            .collect::<Result<Vec<_>, StageError>>()?;
        Ok(rows.select(columns)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_belong_to_an_author_and_a_secret() {
        let (a, b) = (RedactionKey::from_secret("a"), RedactionKey::from_secret("b"));
        let email = |key: RedactionKey, author, value| key.number(author, PiiKind::Email, value);
        assert_eq!(email(a, "ann", "jo@example.org"), email(a, "ann", "jo@example.org"));
        assert_ne!(email(a, "ann", "jo@example.org"), email(b, "ann", "jo@example.org"));
        assert_ne!(email(a, "ann", "jo@example.org"), email(a, "bob", "jo@example.org"));
        assert_ne!(email(a, "ann", "jo@example.org"), a.number("ann", PiiKind::Phone, "jo@example.org"));
        assert!((100..1000).contains(&email(a, "ann", "jo@example.org")));
        assert_eq!(format!("{a:?}"), "RedactionKey(secret)");
    }
}
