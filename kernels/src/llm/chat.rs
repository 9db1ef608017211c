//! Conversations rendered to the prompt text a model was trained on.

use std::collections::HashMap;
use std::path::Path;

use candle_core::quantized::gguf_file;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};

use super::tokenizer::TextTokenizer;
use crate::KernelError;

/// The template of models whose file has none.
const CHATML: &str = "{% for message in messages %}\
    {{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}\
    {% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const NAME: &str = "chat";

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl ChatMessage {
    /// A turn of the given role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// A Jinja chat template, rendered as Hugging Face's `apply_chat_template` does.
///
/// Templates see `messages`, `add_generation_prompt`, `bos_token`, `eos_token` and `enable_thinking` (always false:
/// an answer bound by a grammar has no room for thoughts). There is no clock: templates that ask for today's date
/// take their built-in one.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// The template of a GGUF file (`tokenizer.chat_template`), or `ChatML` when it has none.
    ///
    /// # Errors
    /// The template is no valid Jinja.
    pub fn from_gguf(
        metadata: &HashMap<String, gguf_file::Value>,
        tokenizer: &TextTokenizer,
    ) -> Result<Self, KernelError> {
        match metadata.get("tokenizer.chat_template") {
            Some(gguf_file::Value::String(template)) => Self::new(template, tokenizer),
            _ => Self::chatml(tokenizer),
        }
    }

    /// The template of a `tokenizer_config.json`, of several the one named `default`; or of a file that is nothing but
    /// the template (`chat_template.jinja`).
    ///
    /// # Errors
    /// The file cannot be read, has no such template, or the template is no valid Jinja.
    pub fn from_file(path: &Path, tokenizer: &TextTokenizer) -> Result<Self, KernelError> {
        let fail = |reason: String| KernelError::Model { path: path.to_path_buf(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
        let template = if is_json(&text) { template_of(&text).map_err(fail)? } else { text };
        if !template.contains("messages") {
            return Err(fail("is no chat template: it never reads `messages`".into()));
        }
        Self::new(&template, tokenizer).map_err(|error| fail(error.to_string()))
    }

    /// The `ChatML` template.
    ///
    /// # Errors
    /// None in practice: the template is fixed.
    pub fn chatml(tokenizer: &TextTokenizer) -> Result<Self, KernelError> {
        Self::new(CHATML, tokenizer)
    }

    /// A template from its text.
    ///
    /// # Errors
    /// The template is no valid Jinja.
    pub fn new(template: &str, tokenizer: &TextTokenizer) -> Result<Self, KernelError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_filter("tojson", |value: Value| -> Result<Value, minijinja::Error> {
            let json = serde_json::to_string(&value)
                .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
            Ok(Value::from_safe_string(json))
        });
        environment
            .add_template_owned(NAME, template.to_owned())
            .map_err(|error| KernelError::Argument(format!("chat template: {error}")))?;
        let text = |id: Option<u32>| {
            id.map(|id| String::from_utf8_lossy(tokenizer.token_bytes(id)).into_owned()).unwrap_or_default()
        };
        Ok(Self {
            environment,
            bos: text(tokenizer.bos_id()),
            eos: text(tokenizer.eos_ids().first().copied()),
        })
    }

    /// The prompt text of a conversation; with `answer`, up to where the assistant's next turn begins.
    ///
    /// # Errors
    /// The template refuses the conversation (for example its order of roles) or uses what Jinja lacks here.
    pub fn render(&self, messages: &[ChatMessage], answer: bool) -> Result<String, KernelError> {
        let refused = |error: minijinja::Error| KernelError::Argument(format!("chat template: {error}"));
        let template = self.environment.get_template(NAME).map_err(refused)?;
        template
            .render(context! {
                messages => messages,
                add_generation_prompt => answer,
                bos_token => self.bos,
                eos_token => self.eos,
                enable_thinking => false,
            })
            .map_err(refused)
    }
}

/// What is used of a `tokenizer_config.json`.
#[derive(Debug, Deserialize)]
struct TokenizerConfig {
    chat_template: Templates,
}

/// One template, or one for each purpose.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Debug, Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

/// Whether a text is a JSON object, which no template begins like.
fn is_json(text: &str) -> bool {
    let inner = text.trim_start().strip_prefix('{');
    inner.is_some_and(|inner| inner.trim_start().starts_with(['"', '}']))
}

/// The template in the text of a `tokenizer_config.json`, or why there is none.
fn template_of(config: &str) -> Result<String, String> {
    let config: TokenizerConfig =
        serde_json::from_str(config).map_err(|error| format!("has no chat template: {error}"))?;
    match config.chat_template {
        Templates::One(template) => Ok(template),
        Templates::Named(all) => {
            let names = all.iter().map(|one| format!("`{}`", one.name)).collect::<Vec<_>>().join(", ");
            let usual = all.into_iter().find(|one| one.name == "default").map(|one| one.template);
            usual.ok_or_else(|| format!("has no chat template named `default`; it has {names}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::decoder::tensor_file::write;
    use crate::llm::test_support::toy_tokenizer;

    fn conversation() -> Vec<ChatMessage> {
        vec![ChatMessage::new("system", "Be brief."), ChatMessage::new("user", "Hi <b>\"you\"</b>")]
    }

    const PROMPT: &str = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <b>\"you\"</b><|im_end|>\n\
                          <|im_start|>assistant\n";

    #[test]
    fn the_fallback_is_chatml() {
        let template = ChatTemplate::from_gguf(&HashMap::new(), &toy_tokenizer()).unwrap();
        assert_eq!(template.render(&conversation(), true).unwrap(), PROMPT);
        let closed = template.render(&conversation(), false).unwrap();
        assert_eq!(format!("{closed}<|im_start|>assistant\n"), PROMPT);
    }

    #[test]
    fn templates_come_from_every_kind_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat");
        let read = |text: &str| {
            write(&path, text.as_bytes()).unwrap();
            ChatTemplate::from_file(&path, &toy_tokenizer())
        };
        let other = serde_json::json!({"name": "tool_use", "template": "{{ messages[1].content }}"});
        let usual = serde_json::json!({"name": "default", "template": CHATML});
        for text in [
            serde_json::json!({"chat_template": CHATML, "bos_token": null}).to_string(),
            serde_json::json!({"chat_template": [other, usual]}).to_string(),
            CHATML.to_owned(),
        ] {
            assert_eq!(read(&text).unwrap().render(&conversation(), true).unwrap(), PROMPT);
        }
        for (text, expected) in [
            (serde_json::json!({"chat_template": [other]}), "named `default`; it has `tool_use`"),
            (serde_json::json!({"bos_token": "<s>"}), "missing field `chat_template`"),
            (serde_json::json!({"chat_template": "{% if %}"}), "chat template"),
        ] {
            let message = read(&text.to_string()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_default_system_message_comes_from_the_template() {
        let source = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
            {{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}\
            {{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
            {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
        let template = ChatTemplate::new(source, &toy_tokenizer()).unwrap();
        assert_eq!(template.render(&conversation(), true).unwrap(), PROMPT);
        let alone = template.render(&conversation()[1..], true).unwrap();
        assert!(
            alone.starts_with("<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\nHi "),
            "{alone}"
        );
    }

    #[test]
    fn a_template_with_blocks_tools_and_methods_renders_like_hugging_face() {
        // The constructs of the Qwen family, on lines of their own: trim_blocks and lstrip_blocks matter.
        let source = r#"{%- if tools %}
    {{- '<tools>' + (tools | tojson) }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{% set ns = namespace(last=0) %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {%- set ns.last = loop.index0 %}
        {{- '<|im_start|>' + message.role.strip() + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}"#;
        let template = ChatTemplate::new(source, &toy_tokenizer()).unwrap();
        assert_eq!(template.render(&conversation(), true).unwrap(), PROMPT);
    }

    #[test]
    fn a_template_leaves_its_loops_early() {
        let source = "{% for message in messages %}{% if message.role == 'system' %}{% continue %}{% endif %}\
            {{ message.role }}{% break %}{% endfor %}";
        let template = ChatTemplate::new(source, &toy_tokenizer()).unwrap();
        let messages = [&conversation()[..], &conversation()[..]].concat();
        assert_eq!(template.render(&messages, true).unwrap(), "user");
    }

    #[test]
    fn a_refusal_and_a_broken_template_are_errors() {
        let tokenizer = toy_tokenizer();
        let source = "{{ raise_exception('roles must alternate') }}";
        let message =
            ChatTemplate::new(source, &tokenizer).unwrap().render(&[], true).unwrap_err().to_string();
        assert!(message.contains("roles must alternate"), "{message}");
        assert!(ChatTemplate::new("{% if %}", &tokenizer).is_err());
    }
}
