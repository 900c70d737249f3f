/* The texts of the board. */

import { define, t } from "/i18n.js";

define({
  en: {
    "board.title": "Board",
    "board.find": "Find",
    "board.find.hint": "Find a key or category ( / )",
    "board.fold": "Fold all",
    "board.unfold": "Unfold all",
    "board.grid": "Keys and their values, live",
    "board.key": "Key",
    "board.trend": "Trend",
    "board.last": "Last",
    "board.change": "Change",
    "board.change.title": "Over the last 60 ticks, as the trend shows",
    "board.age": "Age",
    "board.keys": ({ n, count }) => `${count} ${n === 1 ? "key" : "keys"}`,
    "board.found": "{found} of {all} keys",
    "board.enter": "· Enter opens {first}",
    "board.loading": "The keys are being read…",
    "board.empty": "There are no keys yet. They appear here as they are written.",
    "board.none": "No key and no category holds “{wanted}”.",
    "board.second": "{n} s",
    "board.minute": "{n} min",
    "board.hour": "{n} h",
    "board.day": "{n} d",
  },
  vi: {
    "board.title": "Bảng giá",
    "board.find": "Tìm",
    "board.find.hint": "Tìm khóa hoặc nhóm ( / )",
    "board.fold": "Thu hết",
    "board.unfold": "Mở hết",
    "board.grid": "Các khóa và giá trị, trực tiếp",
    "board.key": "Khóa",
    "board.trend": "Xu hướng",
    "board.last": "Mới nhất",
    "board.change": "Thay đổi",
    "board.change.title": "Qua 60 lần cập nhật gần nhất, như đường xu hướng",
    "board.age": "Tuổi",
    "board.keys": "{count} khóa",
    "board.found": "{found} trong {all} khóa",
    "board.enter": "· Enter mở {first}",
    "board.loading": "Đang đọc các khóa…",
    "board.empty": "Chưa có khóa nào. Khóa sẽ hiện ở đây khi được ghi.",
    "board.none": "Không có khóa hay nhóm nào chứa “{wanted}”.",
    "board.second": "{n} giây",
    "board.minute": "{n} phút",
    "board.hour": "{n} giờ",
    "board.day": "{n} ngày",
  },
});

const SPANS = [[86_400, "board.day"], [3600, "board.hour"], [60, "board.minute"], [1, "board.second"]];

/** "3 s", "2 min": an age in milliseconds as short as it goes. */
export function briefAge(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [size, name] = SPANS.find(([least]) => seconds >= least) ?? SPANS.at(-1);
  return t(name, { n: Math.floor(seconds / size) });
}
