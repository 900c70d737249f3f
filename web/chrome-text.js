/* The texts of the header, and of what every page says. */

import { define } from "/i18n.js";

const age = (unit) => ({ n }) => `${n} ${unit}`;

define({
  en: {
    "chrome.pages": "Pages",
    "chrome.board": "Board",
    "chrome.admin": "Admin",
    "chrome.docs": "Docs",
    "chrome.other-language": "VI: Tiếng Việt",
    "chrome.other-code": "VI",
    "chrome.theme.auto": "Theme: as the system",
    "chrome.theme.dark": "Theme: dark",
    "chrome.theme.light": "Theme: light",
    "state.connecting": "Connecting",
    "state.live": "Live",
    "state.stale": "Not up to date",
    "state.offline": "Offline",
    "state.age": "value {age} old",
    "age.second": age("s"),
    "age.minute": age("min"),
    "age.hour": age("h"),
    "age.day": age("d"),
    "age.ago": "{age} ago",
  },
  vi: {
    "chrome.pages": "Các trang",
    "chrome.board": "Bảng giá",
    "chrome.admin": "Quản trị",
    "chrome.docs": "Tài liệu",
    "chrome.other-language": "EN: English",
    "chrome.other-code": "EN",
    "chrome.theme.auto": "Giao diện: theo hệ thống",
    "chrome.theme.dark": "Giao diện: tối",
    "chrome.theme.light": "Giao diện: sáng",
    "state.connecting": "Đang kết nối",
    "state.live": "Trực tiếp",
    "state.stale": "Chưa cập nhật",
    "state.offline": "Mất kết nối",
    "state.age": "giá trị cũ {age}",
    "age.second": age("giây"),
    "age.minute": age("phút"),
    "age.hour": age("giờ"),
    "age.day": age("ngày"),
    "age.ago": "{age} trước",
    // the client's reasons are sentences; a page that is not English says them in its own words
    "Connecting again.": "Đang kết nối lại.",
    "The server is silent.": "Máy chủ im lặng.",
    "The network is away.": "Mất mạng.",
    "Closed.": "Đã đóng.",
    "The browser is busy.": "Trình duyệt đang bận.",
    "The server did not understand this page; reload it.": "Máy chủ không hiểu trang này; hãy tải lại trang.",
    "Reading needs a token here; open the link that holds one.": "Ở đây cần mã truy cập để đọc; hãy mở liên kết có mã.",
    "This token, or a page of this origin, may not read here.": "Mã này, hoặc trang từ nguồn này, không được đọc ở đây.",
  },
});
