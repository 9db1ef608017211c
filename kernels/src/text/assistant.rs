//! Words by which a model speaks of itself or of its task, where it should speak as or about a person.

use std::sync::LazyLock;

use regex::Regex;

use super::links::pattern;

/// In what way an answer falls out of its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// It declines to answer.
    Refusal,
    /// It speaks as an assistant, or of the prompt.
    Role,
}

const REFUSALS: &str = r"(?x)
    \bi(?:\s+am|['’]m)?\s+(?:very\s+|really\s+)?(?:sorry|afraid),?\s+(?:but\s+)?(?:that\s+)?(?:as\s+an\s+ai\b|
        i\s*(?:can(?:not|['’]t|\s+not)|am\s+(?:not\s+able|unable)\s+to|['’]m\s+(?:not\s+able|unable)\s+to|won['’]t)\s+
        (?:help|assist|answer|provide|fulfil|fulfill|comply|complete|create|generate|write|do\s+that|continue|discuss))
  | \bi\s+(?:cannot|can['’]t|am\s+unable\s+to|will\s+not)\s+
        (?:assist\s+with|fulfil|fulfill|comply\s+with|provide\s+(?:that|this|any|personal|information)|
           generate|(?:help|answer)\s+(?:you\s+)?with\s+(?:that|this)\s+request|complete\s+(?:that|this|your)\s+request)
  | \b(?:this|that|your)\s+request\s+(?:violates|goes\s+against|cannot\s+be)
";

const ROLES: &str = r"(?x)
    \bas\s+an?\s+(?:ai|artificial\s+intelligence|large\s+language\s+model|language\s+model|virtual\s+assistant|chatbot)\b
  | \bi(?:\s+am|['’]m)\s+(?:just\s+|only\s+)?an?\s+(?:ai|language\s+model|virtual\s+assistant|chatbot)\b
  | \bmy\s+(?:training\s+data|knowledge\s+cutoff|programming)\b
  | <\|[a-z_]+\|> | \[/?inst\] | \b(?:assistant|system|user)\s*:\s
  | \b(?:how\s+(?:can|may)\s+i\s+(?:help|assist)\s+you|is\s+there\s+anything\s+else\s+i\s+can|hope\s+this\s+helps)\b
  | \b(?:here\s+is|here['’]s|below\s+is)\s+(?:the|a|an|your)\s+(?:json|requested|answer|response|summary|persona|profile)\b
  | \b(?:the|this)\s+(?:provided|given|above)\s+(?:text|texts|post|posts|prompt|input|comment|review|json)\b
  | \b(?:based\s+on|according\s+to|from)\s+the\s+(?:text|texts|posts|prompt|input|information\s+provided)\b
  | \b(?:json|xml)\s+(?:format|object|output)\b
";

static REFUSAL: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("(?i){REFUSALS}")));
static ROLE: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("(?i){ROLES}")));

/// The first words by which an answer falls out of its role, refusals before others. What stands in `own`, the text that the
/// answer is about, does not count: people say such things of themselves, and a rewriting keeps them.
///
/// ```
/// use genome_kernels::text::assistant::{Lapse, lapse};
/// assert_eq!(lapse("As an AI language model, I have no bike.", ""), Some((Lapse::Role, "As an AI")));
/// assert_eq!(lapse("I'm sorry, but I can't come to the party.", ""), None);
/// assert_eq!(lapse("Hope this helps.", "new chain, new cogs. hope this helps!"), None);
/// ```
pub fn lapse<'t>(text: &'t str, own: &str) -> Option<(Lapse, &'t str)> {
    let find = |pattern: &Regex, lapse| {
        let mut found = pattern.find_iter(text).map(|words| words.as_str());
        found.find(|words| !one_line(own).contains(&one_line(words))).map(|words| (lapse, words))
    };
    find(&REFUSAL, Lapse::Refusal).or_else(|| find(&ROLE, Lapse::Role))
}

/// A text in lower case with one kind of spaces and apostrophes.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase().replace('’', "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lapses_of_models() {
        for text in [
            "I'm sorry, but I can't help with that.",
            "I am sorry, I cannot provide personal details.",
            "I cannot assist with this.",
            "I’m afraid I am unable to answer.",
            "That request violates the rules.",
        ] {
            assert_eq!(lapse(text, "").map(|(kind, _)| kind), Some(Lapse::Refusal), "{text}");
        }
        for text in [
            "As a large language model I feel nothing.",
            "The person, based on the posts, likes tea.",
            "The provided text shows a love of tea.",
            "Here is the JSON you asked for",
            "User: I like tea.",
            "likes tea <|im_end|>",
            "Hope this helps",
        ] {
            assert_eq!(lapse(text, "").map(|(kind, _)| kind), Some(Lapse::Role), "{text}");
        }
    }

    #[test]
    fn people_say_such_things_too() {
        for text in [
            "I'm sorry but I can't stand loud neighbours.",
            "I cannot help thinking of her.",
            "I can't provide for two families on this wage.",
            "The assistant at the shop was rude; the user manual is worse.",
            "She works as an aide and trains AI sceptics.",
            "I'm afraid that I can't afford it.",
        ] {
            assert_eq!(lapse(text, ""), None, "{text}");
        }
    }

    #[test]
    fn what_the_person_says_is_no_lapse() {
        let own = "I’m an AI engineer and tune\nlanguage models. The user: me. Hope this  helps!";
        for (text, expected) in [
            ("I'm an AI engineer who tunes models. I hope this helps.", None),
            ("User: the person. As an AI engineer I know.", Some("As an AI")),
            ("I'm an AI engineer. How can I help you?", Some("How can I help you")),
            ("I'm a chatbot.", Some("I'm a chatbot")),
        ] {
            assert_eq!(lapse(text, own).map(|(_, words)| words), expected, "{text}");
        }
    }
}
