"""Names and texts in several languages and scripts, chosen to be awkward for careless programs.

All strings are fixed, so that the same seed always yields the same bytes.
"""

from __future__ import annotations

from typing import Final

# One row a culture: Estonian-like, Russian, Finnish, Arabic, Chinese, and one of oddities.
GIVEN: Final = (
    ("Aino", "Jüri", "Mõmmi", "Õie", "Ülo", "Žanna", "Šarlott", "Leida", "Pääru", "Tõnis"),
    ("Анна", "Пётр", "Фёдор", "Ольга", "Илья", "Мария", "Юлия", "Семён", "Вера", "Алёна"),
    ("Väinö", "Åke", "Pirkko", "Yrjö", "Äänis", "Tuula", "Eero", "Kyösti", "Helmi", "Sisko"),
    ("محمد", "فاطمة", "علي", "مريم", "يوسف", "خديجة", "عمر", "ليلى", "حسن", "نور"),
    ("伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "洋", "𠮷"),
    (
        "Jose\u0301",
        "Zoë",
        "O\\Brien",
        "Ngọc",
        "Łucja",
        "İpek",
        "ßarah",
        "Ⅷ",
        "a\u0323\u0307n",
        "Ma Ri\u00a0a",
    ),
)
SURNAMES: Final = (
    ("Tamm", "Kask", "Sepp", "Mägi", "Põder", "Jõesäär", "Õunapuu", "Vähk", "Kuusk", "Rebane"),
    ("Иванов", "Кузнецова", "Щукин", "Соловьёв", "Ёлкина", "Жуков", "Объедков", "Цой"),
    ("Mäkinen", "Korhonen", "Hämäläinen", "Lindström", "Öhman", "Yli-Äijö", "Niemi"),
    ("الأنصاري", "بن سعيد", "العَلَوي", "حداد", "التونسي", "المصري"),
    ("王", "李", "欧阳", "司马", "张", "刘"),
    ("d'Arc", 'von "Quote"', "Mc\tTab", "ffi", "Nguyễn", "Þórsdóttir", "null", "\\N"),
)
STREETS: Final = (
    "Pikk tänav", "Õismäe tee", "Вокзальная улица", "Kauppakatu", "شارع النخيل", "中山路",
    "Rüütli", "Suur-Karja", "Liivalaia", "Mäealuse", "Sõbra põik", "Lossi plats",
)  # fmt: skip
SETTLEMENTS: Final = (
    "Vanelinn", "Õrsava", "Kuressilla", "Põlluküla", "Meresaare", "Jõgiotsa", "Ülenurga",
    "Raudvere", "Karulaane", "Soomäe", "Новый Берег", "Hiidranta",
)  # fmt: skip
COUNTIES: Final = ("Harumaa", "Viljavald", "Läänerand", "Ida-Soo", "Saarte")
TEXTS: Final = (
    "ordinary remark",
    "",
    "tab\there, new\nline, return\r, backslash \\ and \\. alone",
    "Märkus: isik viibib välismaal — «ajutiselt»",
    "Примечание: документы утеряны",
    "ملاحظة: \u202bالعنوان مؤقت\u202c (2024)",
    "备注：地址已变更",
    "👩‍👩‍👧‍👦 moved 🏠➡️🏡, 🇪🇪 flag, skin tone 👍🏽",
    "combining: e\u0301 n\u0303 a\u0308\u0304; zero\u200bwidth; bidi \u2067אב\u2069",
    "NULL",
    "\\N",
    "quotes ' \" ` and ; -- comment /* not */ $$dollar$$",
    " leading and trailing ",
    "\x01control\x7f and \u2028 line separator",
    "Käyttäjä ilmoitti muutosta",
    "\ufeffbyte order mark first",
)
TRADES: Final = (
    "Puit", "Meri", "Лес", "Konepaja", "Tarkvara", "النخلة", "龙腾", "Kivi & Pojad", "Piim",
    "Энергия", "Rannik", "Hõbe", "Viski\\Õlu", "E-Äri",
)  # fmt: skip
LANGUAGE_SETS: Final = (
    ("et",), ("ru",), ("fi", "sv"), ("ar", "fr"), ("zh",), ("et", "ru", None), (),
    ('quo"te', "com,ma"),
)  # fmt: skip
