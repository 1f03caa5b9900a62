// A model's Markdown as nodes that can't act.
//
// Two barriers: raw HTML and images become text before there is any HTML, and what the renderer writes is sanitized to a few tags
// without styles, ids or handlers. Formulas stay the text they are.

import DOMPurify from "dompurify";
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import markdown from "highlight.js/lib/languages/markdown";
import python from "highlight.js/lib/languages/python";
import r from "highlight.js/lib/languages/r";
import sql from "highlight.js/lib/languages/sql";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { Marked } from "marked";

const LANGUAGES = { bash, css, diff, javascript, json, markdown, python, r, sql, xml, yaml };
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);

const SAFE_ADDRESS = /^(?:https?:\/\/|mailto:)/i;
const OUR_CLASS = /^(?:heading|hljs[\w-]*|maths)$/;
// Highlighting takes longer than a frame beyond this.
const MOST_HIGHLIGHTED_CHARACTERS = 20_000;

const FORMULA_BLOCK = /^ {0,3}(?:\$\$(?:[^$\\]|\\[^])+?\$\$|\\\[(?:[^\\]|\\[^()[\]])+?\\\])[ \t]*(?:\n|$)/;
const FORMULA_INLINE = /^(?:\$\$(?:[^$\\]|\\[^])+?\$\$|\\\((?:[^\\]|\\[^()[\]])+?\\\)|\\\[(?:[^\\]|\\[^()[\]])+?\\\]|\$(?![\s$])(?:[^$\\\n]|\\.)+?(?<!\s)\$(?![\w$]))/;

const formulas = [
  {
    name: "formulaBlock",
    level: "block",
    start: (source) => source.match(/^ {0,3}(?:\$\$|\\\[)/m)?.index,
    tokenizer(source) {
      const found = FORMULA_BLOCK.exec(source);
      return found ? { type: "formulaBlock", raw: found[0], text: found[0].trim() } : undefined;
    },
    renderer: ({ text }) => `<p><span class="maths">${escaped(text)}</span></p>`,
  },
  {
    name: "formula",
    level: "inline",
    start: (source) => source.match(/\$|\\[([]/)?.index,
    tokenizer(source) {
      const found = FORMULA_INLINE.exec(source);
      return found ? { type: "formula", raw: found[0], text: found[0] } : undefined;
    },
    renderer: ({ text }) => `<span class="maths">${escaped(text)}</span>`,
  },
];

const renderer = {
  html: ({ text }) => escaped(text),
  image: ({ href, title, text }) => escaped(`[image: ${text || title || href}]`),
  checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  code: ({ text, lang }) => `<pre><code>${highlighted(text, lang)}</code></pre>`,
  heading({ tokens }) {
    // The panel is a part of somebody else's page, in whose outline an answer has no place.
    return `<p class="heading">${this.parser.parseInline(tokens)}</p>`;
  },
  link({ href, title, tokens }) {
    const text = this.parser.parseInline(tokens);
    if (!SAFE_ADDRESS.test(href)) return text;
    return `<a href="${escaped(href)}"${title ? ` title="${escaped(title)}"` : ""}>${text}</a>`;
  },
};

const marked = new Marked({ gfm: true, extensions: formulas, renderer });

const purifier = DOMPurify(window);
purifier.addHook("uponSanitizeAttribute", (node, attribute) => {
  if (attribute.attrName !== "class") return;
  attribute.attrValue = attribute.attrValue.split(/\s+/).filter((name) => OUR_CLASS.test(name)).join(" ");
  attribute.keepAttr = attribute.attrValue !== "";
});
purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

const ALLOWED = {
  ALLOWED_TAGS: [
    ...["a", "blockquote", "br", "code", "del", "em", "hr", "li", "ol", "p", "pre", "span"],
    ...["strong", "table", "tbody", "td", "th", "thead", "tr", "ul"],
  ],
  ALLOWED_ATTR: ["align", "class", "href", "start", "title"],
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: SAFE_ADDRESS,
  RETURN_DOM_FRAGMENT: true,
};

/** Return a fragment that shows the Markdown. */
export function rendered(text) {
  return purifier.sanitize(marked.parse(text), ALLOWED);
}

function highlighted(code, info) {
  const language = /^[\w+#-]*/.exec(info ?? "")[0].toLowerCase();
  if (!hljs.getLanguage(language) || code.length > MOST_HIGHLIGHTED_CHARACTERS) return escaped(code);
  return hljs.highlight(code, { language, ignoreIllegals: true }).value;
}

function escaped(text) {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
