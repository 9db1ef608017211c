//! The six latent-state dimensions of `HumanLM` (papers' section 2.2).

use serde_json::Value;

/// Tag of a reply in RL prompts.
pub const RESPONSE_TAG: &str = "response";

/// A dimension of the state behind a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Degree of agreement toward a named target.
    Stance,
    /// Feeling, its strength, and its target.
    Emotion,
    /// A general assumption about how people or the world work.
    Belief,
    /// What should matter, as opposed to what is true.
    Value,
    /// What the person tries to do with the message.
    Goal,
    /// Tone, and how the message is organised.
    Communication,
}

impl Dimension {
    /// Every dimension, in the order of the authors' configuration.
    pub const ALL: [Self; 6] =
        [Self::Stance, Self::Emotion, Self::Belief, Self::Value, Self::Goal, Self::Communication];

    /// Name, tag and column value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stance => "stance",
            Self::Emotion => "emotion",
            Self::Belief => "belief",
            Self::Value => "value",
            Self::Goal => "goal",
            Self::Communication => "communication",
        }
    }

    /// What the tag must hold, as a prompt says it; at most 15 words, the limit of the authors' code.
    pub const fn definition(self) -> &'static str {
        match self {
            Self::Stance => {
                "how far HUMAN agrees or disagrees with a named person, act or claim: the degree, then the target"
            }
            Self::Emotion => "what HUMAN feels: the emotion, how strong it is, and what it is about",
            Self::Belief => {
                "a general assumption of HUMAN about how people or the world work; not advice, and not about this \
                 one case"
            }
            Self::Value => "what HUMAN thinks should matter or come first here; a priority, not a fact",
            Self::Goal => "what HUMAN tries to do with the message, beginning with a verb",
            Self::Communication => "the tone of HUMAN's message and how it is organised",
        }
    }

    /// The label of this dimension from the fields of recipe `latent_states`, as one statement.
    pub fn label(self, fields: &Value) -> Option<String> {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        match self {
            Self::Stance => Some(format!("{} {}", text("stance")?, text("stance_target")?)),
            Self::Emotion => Some(format!(
                "{} {}, about {}",
                text("emotion_degree")?,
                text("emotion")?,
                text("emotion_target")?
            )),
            Self::Belief | Self::Value | Self::Goal | Self::Communication => {
                text(self.as_str()).map(str::to_owned)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_needs_all_its_parts() {
        let fields = serde_json::json!({
            "stance": "strongly agrees with", "stance_target": "the landlord", "emotion": "anger"
        });
        assert_eq!(Dimension::Stance.label(&fields).as_deref(), Some("strongly agrees with the landlord"));
        assert_eq!(Dimension::Emotion.label(&fields), None);
        assert_eq!(Dimension::Goal.label(&fields), None);
    }
}
