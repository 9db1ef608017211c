#!/usr/bin/env python3
"""Short texts of known language for `cargo bench --bench language`, made from text that ships in packages.

    language_texts.py --packages DIR --crates DIR --out DIR

--packages holds Debian packages, each unpacked into a folder of its name: wesnoth-1.16-data (the dialogues of a game
in 50 languages) and fortunes, fortunes-bg, -br, -cs, -de, -eo, -es, -it, -pl, -ru. --crates is the folder of unpacked
crates (`cargo fetch` makes it) with lingua-*-language-model-*, whose test sentences are read. Writes OUT/tune/<iso>.txt
and OUT/test/<iso>.txt, one text a line; a text belongs to a half by its hash, so the halves stay the same. Half of the
texts are whole sentences of 20 to 200 characters, half are the beginning of one, cut between words at 20 to 60.

--profiles DIR writes words.txt and trigrams.txt (kernels/src/text/language/) instead, counted over all sentences of the
half `tune`; --english FILE names a file of English posts, one a line, that is counted too (a third of its lines).
"""

import argparse
import collections
import gettext
import hashlib
import pathlib
import re

# Serbian in Latin letters counts with Croatian and Bosnian: sentences do not tell them apart.
WESNOTH = {
    "af": "afr", "ar": "ara", "bg": "bul", "ca": "cat", "cs": "ces", "da": "dan", "de": "deu", "el": "ell",
    "en_GB": "eng", "eo": "epo", "es": "spa", "et": "est", "eu": "eus", "fi": "fin", "fr": "fra", "ga": "gle",
    "gd": "gla", "gl": "glg", "he": "heb", "hr": "hrv", "hu": "hun", "id": "ind", "is": "isl", "it": "ita",
    "ja": "jpn", "ko": "kor", "la": "lat", "lt": "lit", "lv": "lav", "mk": "mkd", "mr": "mar", "nb_NO": "nob",
    "nl": "nld", "pl": "pol", "pt": "por", "pt_BR": "por", "ro": "ron", "ru": "rus", "sk": "slk", "sl": "slv",
    "sr": "srp", "sr@latin": "hrv", "sv": "swe", "tl": "tgl", "tr": "tur", "uk": "ukr", "vi": "vie",
    "zh_CN": "cmn", "zh_TW": "cmn",
}  # fmt: skip
FORTUNES = {
    "fortunes": "eng", "fortunes-bg": "bul", "fortunes-br": "por", "fortunes-cs": "ces", "fortunes-de": "deu",
    "fortunes-eo": "epo", "fortunes-es": "spa", "fortunes-it": "ita", "fortunes-pl": "pol", "fortunes-ru": "rus",
}  # fmt: skip
LINGUA = {
    "afrikaans": "afr", "albanian": "sqi", "arabic": "ara", "armenian": "hye", "azerbaijani": "aze", "basque": "eus",
    "belarusian": "bel", "bengali": "ben", "bokmal": "nob", "bosnian": "hrv", "bulgarian": "bul", "catalan": "cat",
    "chinese": "cmn", "croatian": "hrv", "czech": "ces", "danish": "dan", "dutch": "nld", "english": "eng",
    "esperanto": "epo", "estonian": "est", "finnish": "fin", "french": "fra", "georgian": "kat", "german": "deu",
    "greek": "ell", "gujarati": "guj", "hebrew": "heb", "hindi": "hin", "hungarian": "hun", "icelandic": "isl",
    "indonesian": "ind", "irish": "gle", "italian": "ita", "japanese": "jpn", "kazakh": "kaz", "korean": "kor",
    "latin": "lat", "latvian": "lav", "lithuanian": "lit", "macedonian": "mkd", "malay": "msa", "maori": "mri",
    "marathi": "mar", "mongolian": "mon", "nynorsk": "nno", "persian": "fas", "polish": "pol", "portuguese": "por",
    "punjabi": "pan", "romanian": "ron", "russian": "rus", "serbian": "srp", "shona": "sna", "slovak": "slk",
    "slovene": "slv", "somali": "som", "sotho": "sot", "spanish": "spa", "swahili": "swa", "swedish": "swe",
    "tagalog": "tgl", "tamil": "tam", "telugu": "tel", "thai": "tha", "tsonga": "tso", "tswana": "tsn",
    "turkish": "tur", "ukrainian": "ukr", "urdu": "urd", "vietnamese": "vie", "welsh": "cym", "xhosa": "xho",
    "yoruba": "yor", "zulu": "zul", "ganda": "lug",
}  # fmt: skip
# Languages that share their script with another.
PROFILED = set(
    "afr ara aze bel bul cat ces cym dan deu eng epo est eus fas fin fra gle hin hrv hun ind isl ita lat lav lit mar"
    " mkd nld nob pol por ron rus slk slv spa sqi srp swa swe tgl tur ukr urd vie".split()
)
SPACED = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n\s*\n")


def number(text):
    """A number that only the text decides, so that the same sources give the same files."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def sentences(text):
    for sentence in SPACED.split(text):
        sentence = " ".join(sentence.split()).strip(" -–—*_\"'«»“”„()[]")
        if 20 <= len(sentence) <= 200 and not re.search(r"[<>{}$|=\\^_]|https?:|\w@\w|\d.*\d.*\d", sentence):
            yield sentence


def wesnoth(folder):
    for file in sorted(folder.rglob("*.mo")):
        iso = WESNOTH.get(file.parts[-3])
        if iso is None:
            continue
        for source, translated in gettext.GNUTranslations(file.open("rb"))._catalog.items():
            if isinstance(source, str) and source and (translated != source or iso == "eng"):
                # English is what is translated: the British catalogue only has what it spells otherwise.
                yield from ((iso, sentence) for sentence in sentences(source if iso == "eng" else translated))


def fortunes(packages):
    for package, iso in FORTUNES.items():
        folder = packages / package / "usr/share/games/fortunes"
        for file in sorted(folder.rglob("*")):
            if not file.is_file() or re.search(r"\.(dat|u8)$|sk|slov|ascii|translat", str(file.relative_to(folder))):
                continue
            data = file.read_bytes()
            for encoding in ("utf-8", {"ces": "iso-8859-2", "pol": "iso-8859-2", "rus": "koi8-r"}.get(iso, "latin-1")):
                try:
                    text = data.decode(encoding)
                    break
                except UnicodeDecodeError:
                    continue
            for cookie in re.split(r"^%.*$", text, flags=re.M):
                cookie = re.split(r"^\s*(?:--|—)|\n\s+-", cookie, flags=re.M)[0]
                yield from ((iso, sentence) for sentence in sentences(cookie))


def lingua(crates):
    for name, iso in LINGUA.items():
        for file in sorted(crates.glob(f"lingua-{name}-language-model-*/testdata/sentences.txt")):
            for line in file.read_text(encoding="utf-8").splitlines():
                yield from ((iso, sentence) for sentence in sentences(line))


def cut(text, of):
    """The beginning of every other text, up to a word's end after 20 to 60 characters."""
    limit = 20 + of // 2 % 40
    if of % 2 or len(text) <= limit:
        return text
    if " " not in text[:40]:
        return text[:limit]
    space = text.find(" ", limit)
    return text if space < 0 else text[:space]


def english(file):
    for line in file.read_text(encoding="utf-8").splitlines()[::3]:
        yield from (("eng", sentence) for sentence in sentences(line))


def is_tuned(text):
    return number(text) // 256 % 2 == 1


def profiles(sources, folder):
    """The most frequent words and trigrams: by mean frequency over the sources, in two of them where there are two."""
    words, trigrams, small = {}, {}, {}
    for source, texts in sources.items():
        for iso, text in sorted({(iso, text) for iso, text in texts if iso in PROFILED and is_tuned(text)}):
            counted = words.setdefault(iso, {}).setdefault(source, collections.Counter())
            parts = trigrams.setdefault(iso, {}).setdefault(source, collections.Counter())
            for word in re.findall(r"(?:[^\W\d_]|[\u0900-\u0963])+", text):
                lower = word.lower()
                counted[lower] += 1
                # Words that are mostly written with a capital are names.
                small.setdefault(iso, collections.Counter())[lower] += word == lower
                edged = f"_{lower}_"
                parts.update(edged[at : at + 3] for at in range(len(edged) - 2))
    for name, counts, usual, least in (("words", words, 250, 3), ("trigrams", trigrams, 600, 4)):
        with (folder / f"{name}.txt").open("w", encoding="utf-8") as file:
            for iso, by_source in sorted(counts.items()):
                large = [counter for source, counter in by_source.items() if words[iso][source].total() > 1500]
                share = collections.Counter()
                for counter in large:
                    for item, count in counter.items():
                        share[item] += count / counter.total() / len(large)

                def is_listed(item):
                    occurrences = sum(counter[item] for counter in large)
                    enough = occurrences >= least and sum(item in counter for counter in large) >= min(2, len(large))
                    is_word = (len(item) > 1 or share[item] > 2e-3) and small[iso][item] >= 0.4 * occurrences
                    return enough and (name == "trigrams" or is_word)

                limit = 900 if (name, iso) == ("words", "eng") else usual
                print(iso, *[item for item, _ in share.most_common() if is_listed(item)][:limit], file=file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=pathlib.Path, required=True)
    parser.add_argument("--crates", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--profiles", type=pathlib.Path)
    parser.add_argument("--english", type=pathlib.Path)
    parser.add_argument("--each", type=int, default=200, help="texts a language, source and half; English four times")
    options = parser.parse_args()
    sources = {
        "wesnoth": wesnoth(options.packages / "wesnoth-1.16-data"),
        "fortunes": fortunes(options.packages),
        "lingua": lingua(options.crates),
    }
    if options.profiles:
        if options.english:
            sources["english"] = english(options.english)
        profiles(sources, options.profiles)
        return
    halves = {}
    for source, texts in sources.items():
        by_language = {}
        for iso, text in texts:
            by_language.setdefault(iso, set()).add(text)
        for iso, texts in sorted(by_language.items()):
            taken = {"tune": 0, "test": 0}
            for of, text in sorted((number(text), text) for text in texts):
                half = "tune" if is_tuned(text) else "test"
                taken[half] += 1
                if taken[half] <= options.each * (4 if iso == "eng" else 1):
                    halves.setdefault((half, iso), []).append(cut(text, of))
    for (half, iso), texts in sorted(halves.items()):
        (options.out / half).mkdir(parents=True, exist_ok=True)
        (options.out / half / f"{iso}.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    for half in ("tune", "test"):
        sizes = [len(texts) for (of, _), texts in halves.items() if of == half]
        print(f"{half}: {len(sizes)} languages, {sum(sizes)} texts")


if __name__ == "__main__":
    main()
