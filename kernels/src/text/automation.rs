//! Words by which programs sign what they post.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::links::pattern;

/// Whether a text says that a program wrote it: "I am a bot", "this action was performed automatically". Lines that quote
/// somebody say nothing of who wrote the text.
///
/// ```
/// use genome_kernels::text::automation::is_automated;
/// assert!(is_automated("Beep boop. I'm a bot."));
/// assert!(!is_automated("I am a botanist."));
/// assert!(!is_automated("> I am a bot.\n\nWho asked you?"));
/// ```
pub fn is_automated(text: &str) -> bool {
    static SIGN: LazyLock<Regex> = LazyLock::new(|| pattern(SIGNS));
    /// The same with the ends of words as ASCII has them. Wherever a word ends in Unicode it does in ASCII too, so
    /// that no sign is missed, and only these are searched for without slowing down at the first letter beyond ASCII.
    static QUICK: LazyLock<Regex> = LazyLock::new(|| pattern(&SIGNS.replace(r"\b", r"(?-u:\b)")));
    let own = without_quoted_lines(text);
    QUICK.is_match(&own) && SIGN.is_match(&own)
}

/// The text without lines that quote somebody in the manner of mail and Reddit.
pub(crate) fn without_quoted_lines(text: &str) -> Cow<'_, str> {
    let is_quoted = |line: &str| {
        let line = line.trim_start();
        line.starts_with('>') || line.starts_with("&gt;")
    };
    if !text.lines().any(is_quoted) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.lines().filter(|line| !is_quoted(line)).collect::<Vec<_>>().join("\n"))
}

/// What programs write of themselves.
const SIGNS: &str = r"(?i)i(?: a|['\x{2019}])m an? (?:automated )?bot\b|\bbeep boop\b|this action was performed automatically|this is an automated |\bautomated review by |do not reply to this message|(?:message|comment|post|reply) was (?:written|posted|generated|created|made) (?:by a (?:program|bot|script)|automatically)|^\W*bleep bloop\b";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_sign_and_people_do_not() {
        for (text, signed) in [
            ("I am a bot, and this action was performed automatically.", true),
            ("*I’m a bot*", true),
            ("^(I'M A BOT)", true),
            ("Beep boop.", true),
            ("This is an automated reminder.", true),
            ("this message was written by a program, report problems", true),
            ("I am a botanist", false),
            ("I am a boté, they say", false),
            ("«Beep boop» — it says", true),
            ("ébeep boop", false),
            ("— 🤖 bleep bloop", true),
            ("He said he is a bot", false),
            ("nothing here is automated", false),
            ("This comment was written by a friend", false),
            ("> I am a bot, and this action was performed automatically.\n\nNo, you are not.", false),
            ("He said this:\n  &gt; beep boop\nand nobody laughed", false),
            ("> what is this?\n\nI am a bot.", true),
            ("> what is this?\nBleep bloop.", true),
            ("", false),
        ] {
            assert_eq!(is_automated(text), signed, "{text}");
        }
    }
}
