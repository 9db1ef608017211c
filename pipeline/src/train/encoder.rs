//! Conversations as tokens, with the marks of what is learnt.

use anyhow::{Result, anyhow, bail};
use genome_kernels::llm::decoder::ModelFiles;
use genome_kernels::llm::{ChatMessage, Prompter};
use genome_kernels::train::Sequence;

use crate::shards::Turn;

/// A model's own tokenizer and chat template.
#[derive(Debug)]
pub(super) struct Encoder {
    prompter: Prompter,
}

impl Encoder {
    /// Reads them from a model's files.
    pub(super) fn load(files: &ModelFiles) -> Result<Self> {
        Ok(Self { prompter: Prompter::load(files)? })
    }

    /// Most tokens of a sequence of the model.
    pub(super) fn context_length(&self) -> usize {
        self.prompter.context_length()
    }

    /// The conversation up to its last learnt message; learnt are the texts of these messages and the token that ends
    /// each. None if no message is to be learnt.
    ///
    /// Every learnt turn is tokenised apart from what leads to it, as an engine does that answers the same prompt.
    pub(super) fn sequence(&self, turns: &[Turn], learn: &[bool]) -> Result<Option<Sequence>> {
        let tokenizer = self.prompter.tokenizer();
        let messages = self.harmless(turns);
        let mut sequence = Sequence { tokens: Vec::new(), learn_mask: Vec::new() };
        let mut push = |ids: &[u32], learnt: bool| {
            sequence.tokens.extend_from_slice(ids);
            sequence.learn_mask.extend(ids.iter().map(|_| learnt));
        };
        let mut rendered = String::new();
        let mut after_turn = Vec::new();
        for (at, message) in messages.iter().enumerate().filter(|(at, _)| learn.get(*at) == Some(&true)) {
            if message.role != "assistant" {
                bail!("message {at} of role `{}` is to be learnt; only the assistant's can be", message.role);
            }
            let prompt = self.prompter.chat().render(&messages[..at], true)?;
            let lead = beyond(&prompt, &rendered, at)?;
            let ids =
                if at_start(&rendered) { tokenizer.encode_prompt(lead)? } else { tokenizer.encode(lead)? };
            push(&after_turn, false);
            push(&ids, false);
            rendered = self.prompter.chat().render(&messages[..=at], false)?;
            let ids = tokenizer.encode(beyond(&rendered, &prompt, at)?)?;
            let end = ids.iter().position(|id| tokenizer.eos_ids().contains(id));
            let end =
                end.ok_or_else(|| anyhow!("the chat template does not end the turn of message {at}"))?;
            // The text as the tokenizer writes it: some make one character of a letter and its accent (NFC).
            let content = tokenizer.decode(&tokenizer.encode(&message.content)?);
            if tokenizer.decode(&ids[..end]).trim() != content.trim() {
                bail!("the chat template changes the text of message {at}");
            }
            push(&ids[..=end], true);
            after_turn = ids[end + 1..].to_vec();
        }
        Ok(sequence.learn_mask.contains(&true).then_some(sequence))
    }

    /// The tokens of a conversation up to where the assistant answers.
    pub(super) fn prompt(&self, turns: &[Turn]) -> Result<Vec<u32>> {
        let messages: Vec<ChatMessage> =
            turns.iter().map(|turn| ChatMessage::new(turn.role.as_str(), turn.content.as_str())).collect();
        Ok(self.prompter.prompt(&messages, "")?)
    }

    /// A prompt with its answer, which is learnt, and so is the token with which the model ended it, if it did.
    pub(super) fn answered(&self, prompt: &[u32], answer: &str, end: Option<u32>) -> Result<Sequence> {
        let mut tokens = self.prompter.tokenizer().encode(answer)?;
        tokens.extend(end);
        let learn_mask = (0..prompt.len() + tokens.len()).map(|at| at >= prompt.len()).collect();
        Ok(Sequence { tokens: [prompt, &tokens].concat(), learn_mask })
    }

    /// A person's text in which nothing can pass for a mark of the model.
    fn defuse(&self, text: &str) -> String {
        self.prompter.tokenizer().defuse(text).into_owned()
    }

    /// Text of tokens, marks of the model left out.
    #[cfg(test)]
    pub(super) fn decode(&self, tokens: &[u32]) -> String {
        self.prompter.tokenizer().decode(tokens)
    }

    /// Whether a token ends a turn.
    #[cfg(test)]
    pub(super) fn ends(&self, token: u32) -> bool {
        self.prompter.tokenizer().eos_ids().contains(&token)
    }

    fn harmless(&self, turns: &[Turn]) -> Vec<ChatMessage> {
        turns.iter().map(|turn| ChatMessage::new(turn.role.as_str(), self.defuse(&turn.content))).collect()
    }
}

fn at_start(rendered: &str) -> bool {
    rendered.is_empty()
}

/// What `longer` has beyond `shorter`. The marks of what is learnt mean nothing if the template writes the beginning
/// of a conversation otherwise once more follows.
fn beyond<'t>(longer: &'t str, shorter: &str, at: usize) -> Result<&'t str> {
    longer.strip_prefix(shorter).ok_or_else(|| {
        anyhow!(
            "the chat template writes what comes before message {at} differently once the message is there"
        )
    })
}

#[cfg(test)]
mod tests {
    use genome_kernels::llm::ChatTemplate;
    use genome_kernels::llm::decoder::{Family, toy};

    use super::super::tests::{Bench, turn};
    use super::*;

    /// The learnt stretches as text, each with a `|` where a turn ends.
    fn learnt(encoder: &Encoder, sequence: &Sequence) -> Vec<String> {
        let mut stretches: Vec<Vec<u32>> = Vec::new();
        let mut was = false;
        for (&token, &learn) in sequence.tokens.iter().zip(&sequence.learn_mask) {
            if learn && !was {
                stretches.push(Vec::new());
            }
            if let (true, Some(last)) = (learn, stretches.last_mut()) {
                last.push(token);
            }
            was = learn;
        }
        let text = |ids: &Vec<u32>| {
            let ends = ids.iter().filter(|&&id| encoder.ends(id)).count();
            format!("{}{}", encoder.decode(ids), "|".repeat(ends))
        };
        stretches.iter().map(text).collect()
    }

    #[test]
    fn exactly_the_learnt_words_and_the_end_of_their_turn_are_marked() {
        let bench = Bench::new();
        let encoder = bench.encoder();
        let turns = [
            turn("system", "be the other"),
            turn("user", "and then? <|im_end|>"),
            turn("assistant", "the thing\n"),
            turn("user", "why"),
            turn("assistant", "an <|im_end|> ending, žluť 😀"),
            turn("user", "bye"),
        ];
        let cases: [(&[usize], &[&str]); 4] = [
            (&[], &[]),
            (&[2], &["the thing\n|"]),
            (&[4], &["an < |im_end|> ending, žluť 😀|"]),
            (&[2, 4], &["the thing\n|", "an < |im_end|> ending, žluť 😀|"]),
        ];
        for (marked, expected) in cases {
            let learn: Vec<bool> = (0..turns.len()).map(|at| marked.contains(&at)).collect();
            let Some(sequence) = encoder.sequence(&turns, &learn).unwrap() else {
                assert!(expected.is_empty(), "{marked:?}");
                continue;
            };
            assert_eq!(learnt(&encoder, &sequence), expected, "{marked:?}");
            assert_eq!(sequence.learn_mask.last(), Some(&true), "nothing follows what is learnt last");
            let last = marked.last().unwrap();
            let whole = encoder.prompter.chat().render(&encoder.harmless(&turns[..=*last]), false).unwrap();
            assert_eq!(
                encoder.decode(&sequence.tokens),
                encoder.decode(&encoder.prompter.tokenizer().encode(whole.trim_end()).unwrap()),
                "{marked:?}"
            );
        }
    }

    #[test]
    fn the_tokens_before_the_answer_are_the_engine_s_prompt() {
        let bench = Bench::new();
        let encoder = bench.encoder();
        let turns = [turn("system", "be"), turn("user", "the answer?"), turn("assistant", "\n and")];
        let sequence = encoder.sequence(&turns, &[false, false, true]).unwrap().unwrap();
        let prompt = encoder.prompt(&turns[..2]).unwrap();
        let ends = encoder.prompter.tokenizer().eos_ids();
        assert_eq!(sequence, encoder.answered(&prompt, "\n and", Some(ends[0])).unwrap());
        // Of several tokens that end an answer the one that did.
        assert_eq!(encoder.answered(&prompt, "\n and", Some(ends[1])).unwrap().tokens.last(), Some(&ends[1]));
        assert_eq!(encoder.answered(&prompt, "", None).unwrap().tokens, prompt);
        let engine = bench.engine();
        let messages: Vec<ChatMessage> = encoder.harmless(&turns[..2]);
        assert_eq!(engine.handle().prompter().prompt(&messages, "").unwrap().len(), prompt.len());
    }

    #[test]
    fn words_are_learnt_in_the_form_that_the_tokenizer_gives_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toy.gguf");
        // The toys of this family have a tokenizer that composes characters.
        toy::write_gguf(&path, &toy::Toy::new(Family::Qwen2, 5)).unwrap();
        let encoder = Encoder::load(&ModelFiles::gguf(&path)).unwrap();
        let turns = [turn("user", "why"), turn("assistant", "5 \u{2126} in the cafe\u{301}")];
        let sequence = encoder.sequence(&turns, &[false, true]).unwrap().unwrap();
        assert_eq!(learnt(&encoder, &sequence), ["5 \u{3a9} in the caf\u{e9}|"]);
    }

    #[test]
    fn what_cannot_be_marked_is_an_error() {
        let bench = Bench::new();
        let mut encoder = bench.encoder();
        let turns = [turn("user", "the"), turn("assistant", "and")];
        let error = encoder.sequence(&turns, &[true, false]).unwrap_err().to_string();
        assert!(error.contains("message 0 of role `user`"), "{error}");
        for (template, expected) in [
            (
                "{{ messages | length }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}",
                "differently",
            ),
            ("{% for m in messages %}{{ m.content }}{% endfor %}", "does not end the turn"),
            ("{% for m in messages %}{{ m.content | upper }}<|im_end|>{% endfor %}", "changes the text"),
        ] {
            let chat = ChatTemplate::new(template, encoder.prompter.tokenizer()).unwrap();
            encoder.prompter = encoder.prompter.with_chat(chat);
            let error = encoder.sequence(&turns, &[false, true]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
