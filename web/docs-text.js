/* The texts of /docs around the description, which is in English. */

import { define } from "/i18n.js";

define({
  en: {
    "docs.title": "API · kvcast",
    "docs.calls": "Calls",
    "docs.parameters": "Parameters",
    "docs.body": "Body: {media}",
    "docs.answers": "Answers",
    "docs.try": "Try it",
    "docs.required": "required",
    "docs.headers": "Headers: {names}.",
    "docs.for-programs": "For programs:",
    "docs.language": "",
    "docs.benchmark": "How fast it is",
    "docs.polling": "Socket or polling",
    "docs.unreadable": "The description could not be read. Reload this page when the server answers.",
  },
  vi: {
    "docs.title": "API · kvcast",
    "docs.calls": "Các lệnh gọi",
    "docs.parameters": "Tham số",
    "docs.body": "Nội dung gửi: {media}",
    "docs.answers": "Trả lời",
    "docs.try": "Thử",
    "docs.required": "bắt buộc",
    "docs.headers": "Tiêu đề: {names}.",
    "docs.for-programs": "Cho chương trình:",
    "docs.language": "Phần mô tả được viết bằng tiếng Anh.",
    "docs.benchmark": "kvcast nhanh đến đâu",
    "docs.polling": "Socket hay hỏi định kỳ",
    "docs.unreadable": "Không đọc được phần mô tả. Hãy tải lại trang khi máy chủ trả lời.",
  },
});
