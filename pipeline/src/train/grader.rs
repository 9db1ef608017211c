//! Rewards: how good the answers to a prompt are, `0.0..=1.0` each.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use genome_kernels::llm::{ChatMessage, EngineHandle, FinishReason, Request, Sampling, Score, ScoreRequest};
use genome_schemas::KeyHasher;
use genome_stages::synthesis::{RecipeLibrary, Rubric};

use super::answer::{Answer, is_copy, parse};
use super::rollout::{Prompt, RESPONSE};

/// Gain in mean log-probability of a token, in nats, that moves the likelihood reward from 0.5 to 0.73.
const LIKELIHOOD_SCALE: f64 = 0.1;

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grade {
    /// `0.0..=1.0`.
    pub(super) reward: f32,
    /// Whether the answer lacks its tags.
    pub(super) malformed: bool,
}

impl Grade {
    const MALFORMED: Self = Self { reward: 0.0, malformed: true };
}

/// Grades answers.
pub(super) trait Grader {
    /// A grade for each answer to each prompt. No adapter is on any engine meanwhile.
    fn grade(&self, prompts: &[(&Prompt, &[String])]) -> Result<Vec<Vec<Grade>>>;
}

/// Reads the tags of answers, and lets the well-formed ones be scored.
#[derive(Debug)]
pub(super) struct TagGrader<S>(pub(super) S);

/// Scores what stands between the tags.
pub(super) trait Scorer {
    /// A score `0.0..=1.0` for each state or reply, each with the prompt it answers.
    fn score(&self, answers: &[(&Prompt, &Answer)]) -> Result<Vec<f64>>;
}

impl<S: Scorer> Grader for TagGrader<S> {
    fn grade(&self, prompts: &[(&Prompt, &[String])]) -> Result<Vec<Vec<Grade>>> {
        let parsed: Vec<Vec<Option<Answer>>> = prompts
            .iter()
            .map(|(prompt, texts)| texts.iter().map(|text| parse(text, &prompt.dimension)).collect())
            .collect();
        let is_scored = |prompt: &Prompt, answer: &Answer| {
            prompt.dimension != RESPONSE || !is_copy(&answer.content, &prompt.seen())
        };
        let mut wanted = Vec::new();
        for ((prompt, _), answers) in prompts.iter().zip(&parsed) {
            wanted.extend(answers.iter().flatten().filter(|a| is_scored(prompt, a)).map(|a| (*prompt, a)));
        }
        let scores = self.0.score(&wanted)?;
        if scores.len() != wanted.len() {
            bail!("internal error: {} answers, but {} scores", wanted.len(), scores.len());
        }
        let mut scores = scores.into_iter();
        let mut grade = |prompt: &Prompt, answer: &Option<Answer>| {
            let Some(answer) = answer else { return Grade::MALFORMED };
            let score = if is_scored(prompt, answer) { scores.next().unwrap_or(0.0) } else { 0.0 };
            let score = if answer.stray { score / 2.0 } else { score };
            #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
            let reward = score.clamp(0.0, 1.0) as f32;
            Grade { reward, malformed: false }
        };
        let graded = prompts.iter().zip(&parsed);
        Ok(graded.map(|((prompt, _), answers)| answers.iter().map(|a| grade(prompt, a)).collect()).collect())
    }
}

/// A judge's scores by the rubric of each row.
#[derive(Debug)]
pub(super) struct RubricScorer {
    judge: EngineHandle,
    rubrics: BTreeMap<String, Arc<Rubric>>,
}

impl RubricScorer {
    /// A judge with all rubrics that rows name.
    pub(super) fn new<'a>(
        judge: EngineHandle,
        library: &RecipeLibrary,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Self> {
        let rubrics = names.map(|name| Ok((name.to_owned(), Arc::clone(library.rubric(name)?))));
        Ok(Self { judge, rubrics: rubrics.collect::<Result<_>>()? })
    }

    fn request(&self, prompt: &Prompt, answer: &Answer) -> Result<(Request, Arc<Rubric>)> {
        let rubric = self
            .rubrics
            .get(&prompt.rubric)
            .ok_or_else(|| anyhow!("internal error: rubric `{}` was not read", prompt.rubric))?;
        let content = rubric.prompt(&prompt.truth, &answer.content, &prompt.dimension)?;
        let request = Request {
            key: KeyHasher::new("genome training judge").part(&rubric.digest).part(&content).finish().0,
            messages: vec![
                ChatMessage::new("system", rubric.head.system.as_str()),
                ChatMessage::new("user", content),
            ],
            answer_prefix: String::new(),
            grammar: rubric.form().grammar("")?,
        };
        Ok((request, Arc::clone(rubric)))
    }
}

impl Scorer for RubricScorer {
    fn score(&self, answers: &[(&Prompt, &Answer)]) -> Result<Vec<f64>> {
        let asked = answers
            .iter()
            .map(|(prompt, answer)| self.request(prompt, answer))
            .collect::<Result<Vec<_>>>()?;
        let (requests, rubrics): (Vec<Request>, Vec<Arc<Rubric>>) = asked.into_iter().unzip();
        let metrics = rubrics.iter().map(|rubric| rubric.head.metrics.len()).max().unwrap_or(1);
        // A score is a few tokens and a name; the grammar ends the answer.
        let sampling = Sampling { max_tokens: 24 * metrics, ..Sampling::default() };
        let completions = self.judge.generate(requests, &sampling);
        let mut scores = Vec::with_capacity(completions.len());
        for ((completion, rubric), (prompt, _)) in completions.iter().zip(&rubrics).zip(answers) {
            if let FinishReason::Error(reason) = &completion.finish {
                bail!("the judge failed on example {}: {reason}", prompt.key);
            }
            if completion.finish == FinishReason::ContextTooLong {
                bail!(
                    "the judge's context is too short for example {}: {} tokens",
                    prompt.key,
                    completion.prompt_tokens
                );
            }
            let given = rubric.scores(&completion.text);
            let range = (rubric.head.max_score - rubric.head.min_score).max(1) as f64;
            // A score that is not there is worth nothing.
            let share =
                |score: &Option<f64>| score.map_or(0.0, |s| (s - rubric.head.min_score as f64) / range);
            scores.push(given.iter().map(share).sum::<f64>() / given.len().max(1) as f64);
        }
        Ok(scores)
    }
}

/// How much likelier an answer makes the person's real words to the base model.
#[derive(Debug)]
pub(super) struct LikelihoodScorer {
    pub(super) engine: EngineHandle,
}

impl LikelihoodScorer {
    fn request(prompt: &Prompt, answer: Option<&Answer>) -> ScoreRequest {
        let mut messages: Vec<ChatMessage> = prompt
            .turns
            .iter()
            .map(|turn| ChatMessage::new(turn.role.as_str(), turn.content.as_str()))
            .collect();
        if let (Some(answer), Some(last)) = (answer, messages.last_mut()) {
            let what = if prompt.dimension == RESPONSE { "words, about" } else { prompt.dimension.as_str() };
            last.content.push_str("\n\nHUMAN's ");
            last.content.push_str(what);
            last.content.push_str(": ");
            last.content.push_str(&answer.content);
        }
        ScoreRequest { messages, continuation: prompt.truth.clone() }
    }
}

impl Scorer for LikelihoodScorer {
    fn score(&self, answers: &[(&Prompt, &Answer)]) -> Result<Vec<f64>> {
        // Without an answer the words are as likely for all answers to a prompt.
        let prompts: BTreeMap<&str, &Prompt> =
            answers.iter().map(|(prompt, _)| (prompt.key.as_str(), *prompt)).collect();
        let mut requests: Vec<ScoreRequest> =
            prompts.values().map(|prompt| Self::request(prompt, None)).collect();
        requests.extend(answers.iter().map(|(prompt, answer)| Self::request(prompt, Some(answer))));
        let scores = self.engine.score(requests);
        let (without, with) = scores.split_at(prompts.len());
        let without: BTreeMap<&str, Option<f64>> = prompts
            .iter()
            .zip(without)
            .map(|((key, prompt), score)| Ok((*key, mean(score, prompt)?)))
            .collect::<Result<_>>()?;
        answers
            .iter()
            .zip(with)
            .map(|((prompt, _), score)| {
                let gain = mean(score, prompt)?.zip(without.get(prompt.key.as_str()).copied().flatten());
                Ok(gain.map_or(0.0, |(with, without)| squash(with - without)))
            })
            .collect()
    }
}

/// Mean log-probability of a token; none if there is no token, or no room for them.
fn mean(score: &Score, prompt: &Prompt) -> Result<Option<f64>> {
    match &score.finish {
        FinishReason::Stop if !score.log_probs.is_empty() => {
            Ok(Some(score.total() / score.log_probs.len() as f64))
        }
        FinishReason::Error(reason) => {
            bail!("the words of example {} cannot be scored: {reason}", prompt.key)
        }
        _ => Ok(None),
    }
}

fn squash(gain: f64) -> f64 {
    1.0 / (1.0 + (-gain / LIKELIHOOD_SCALE).exp())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Bench, prompt};
    use super::*;

    /// Scores an answer by its length, so that each score can be told from the others.
    struct ByLength;

    impl Scorer for ByLength {
        fn score(&self, answers: &[(&Prompt, &Answer)]) -> Result<Vec<f64>> {
            Ok(answers.iter().map(|(_, answer)| answer.content.len() as f64 / 100.0).collect())
        }
    }

    #[test]
    fn malformed_stray_and_copied_answers_cost_reward() {
        let bench = Bench::new();
        let encoder = bench.encoder();
        let state = prompt(&encoder, 1, "goal", "Should I sell my old steel bike?");
        let reply = prompt(&encoder, 2, "response", "Should I sell my old steel bike?");
        let states: Vec<String> = [
            "<goal>0123456789</goal>",
            "<goal>0123456789</goal></b>",
            "0123",
            "<goal>should i sell my old steel bike</goal>",
        ]
        .map(String::from)
        .to_vec();
        let replies: Vec<String> = [
            "<goal>x</goal>",
            "<response>should i sell my old steel bike</response>",
            "<response>keep it</response>",
        ]
        .map(String::from)
        .to_vec();
        let grades = TagGrader(ByLength).grade(&[(&state, &states), (&reply, &replies)]).unwrap();
        let plain: Vec<Vec<(f32, bool)>> =
            grades.iter().map(|group| group.iter().map(|g| (g.reward, g.malformed)).collect()).collect();
        assert_eq!(plain[0], [(0.1, false), (0.05, false), (0.0, true), (0.31, false)]);
        assert_eq!(plain[1], [(0.0, true), (0.0, false), (0.07, false)]);
    }

    #[test]
    fn a_judge_scores_by_the_rubric() {
        let bench = Bench::new();
        let encoder = bench.encoder();
        let engine = bench.engine();
        let prompts: Vec<Prompt> = (0..3).map(|n| prompt(&encoder, n, "goal", "the and the")).collect();
        let answers: Vec<Answer> =
            (0..3).map(|n| Answer { content: format!("the {n} thing"), stray: false }).collect();
        let library = RecipeLibrary::default();
        let scorer = RubricScorer::new(engine.handle(), &library, ["state_alignment"].into_iter()).unwrap();
        let pairs: Vec<(&Prompt, &Answer)> = prompts.iter().zip(&answers).collect();
        let scores = scorer.score(&pairs).unwrap();
        assert_eq!(scores.len(), 3);
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");
        assert_eq!(scorer.score(&pairs[1..]).unwrap(), scores[1..], "a score depends on its answer alone");
        assert!(RubricScorer::new(engine.handle(), &library, ["nothing"].into_iter()).is_err());
    }

    #[test]
    fn the_likelihood_reward_is_the_gain_per_token() {
        let bench = Bench::new();
        let encoder = bench.encoder();
        let engine = bench.engine();
        let prompt = prompt(&encoder, 1, "goal", "the and the");
        let answers =
            ["the thing", "an", "xyz xyz"].map(|text| Answer { content: text.into(), stray: false });
        let scorer = LikelihoodScorer { engine: engine.handle() };
        let pairs: Vec<(&Prompt, &Answer)> = answers.iter().map(|answer| (&prompt, answer)).collect();
        let scores = scorer.score(&pairs).unwrap();
        let mean_of = |extra: &str| {
            let mut messages: Vec<ChatMessage> =
                prompt.turns.iter().map(|t| ChatMessage::new(t.role.as_str(), t.content.as_str())).collect();
            messages.last_mut().unwrap().content.push_str(extra);
            let score = &engine
                .handle()
                .score(vec![ScoreRequest { messages, continuation: prompt.truth.clone() }])[0];
            score.total() / score.log_probs.len() as f64
        };
        for (answer, score) in answers.iter().zip(&scores) {
            let gain = mean_of(&format!("\n\nHUMAN's goal: {}", answer.content)) - mean_of("");
            let expected = 1.0 / (1.0 + (-gain / LIKELIHOOD_SCALE).exp());
            assert!((score - expected).abs() < 1e-6, "{score} against {expected}");
        }
        assert!((scores[0] - scores[1]).abs() > 1e-6 && (scores[1] - scores[2]).abs() > 1e-6);
    }
}
