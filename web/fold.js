/* Text as people search it: without case and diacritics, so that "vang" finds "Vàng" and "dong" finds "Đồng". */

const MARKS = /\p{M}/gu;

function foldCharacter(character) {
  const bare = character.normalize("NFD").replace(MARKS, "").toLowerCase();
  return bare === "đ" ? "d" : bare;
}

export function fold(text) {
  return text.normalize("NFD").replace(MARKS, "").toLowerCase().replaceAll("đ", "d");
}

/** The words of what somebody typed, folded. */
export function words(typed) {
  return fold(typed).split(/\s+/u).filter(Boolean);
}

/** Where `wanted` (folded words) stand in `text`: sorted [start, end] pairs of its own positions, not overlapping. */
export function ranges(text, wanted) {
  let folded = "";
  const origin = []; // of each folded character: where its own begins in `text`
  let at = 0;
  for (const character of text) {
    const bare = foldCharacter(character);
    for (let i = 0; i < bare.length; i += 1) origin.push(at);
    folded += bare;
    at += character.length;
  }
  origin.push(at);
  const found = [];
  for (const word of wanted) {
    for (let start = folded.indexOf(word); start >= 0; start = folded.indexOf(word, start + word.length)) {
      found.push([origin[start], origin[start + word.length]]);
    }
  }
  return joined(found.sort(([a], [b]) => a - b));
}

function joined(sorted) {
  const apart = [];
  for (const [start, end] of sorted) {
    const last = apart.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else apart.push([start, end]);
  }
  return apart;
}
