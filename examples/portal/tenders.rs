//! The tenders and the page that lists them, read at the start.

use std::path::Path;

use serde_json::Value;

const TENDERS: &str = include_str!("tenders.json");
const PAGE: &str = include_str!("page.html");

/// One tender.
#[derive(Debug, Clone)]
pub(crate) struct Tender {
    pub(crate) id: String,
    pub(crate) reference: String,
    pub(crate) name: String,
    agency: String,
    closes: String,
}

/// All tenders, and the page.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// The edition of the portal, which shows whether new code answers.
    pub(crate) edition: String,
    tenders: Vec<Tender>,
    page: String,
}

impl Catalogue {
    /// Reads `tenders.json` and `page.html` from a directory, or uses the compiled-in files.
    pub(crate) fn load(dir: Option<&Path>) -> Result<Self, String> {
        let tenders = text(dir, "tenders.json", TENDERS)?;
        let page = text(dir, "page.html", PAGE)?;
        let value: Value =
            serde_json::from_str(&tenders).map_err(|error| format!("tenders.json is not valid: {error}"))?;
        let tenders: Vec<Tender> = value["tenders"].as_array().into_iter().flatten().map(tender).collect();
        let edition = field(&value, "edition");
        let page = page.replace("{{edition}}", &escape(&edition)).replace("{{tenders}}", &cards(&tenders));
        Ok(Self { edition, tenders, page })
    }

    /// The page as HTML.
    pub(crate) fn page(&self) -> String {
        self.page.clone()
    }

    /// The tender with this id.
    pub(crate) fn find(&self, id: &str) -> Option<&Tender> {
        self.tenders.iter().find(|tender| tender.id == id)
    }

    /// Number of tenders.
    pub(crate) fn len(&self) -> usize {
        self.tenders.len()
    }
}

fn text(dir: Option<&Path>, name: &str, compiled_in: &str) -> Result<String, String> {
    let Some(dir) = dir else { return Ok(compiled_in.to_owned()) };
    let path = dir.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(compiled_in.to_owned()),
        Err(error) => Err(format!("failed to read {}: {error}", path.display())),
    }
}

fn tender(value: &Value) -> Tender {
    Tender {
        id: field(value, "id"),
        reference: field(value, "reference"),
        name: field(value, "name"),
        agency: field(value, "agency"),
        closes: field(value, "closes"),
    }
}

fn field(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn cards(tenders: &[Tender]) -> String {
    tenders.iter().map(card).collect()
}

fn card(tender: &Tender) -> String {
    let [id, name, reference, agency, closes] =
        [&tender.id, &tender.name, &tender.reference, &tender.agency, &tender.closes]
            .map(|text| escape(text));
    format!(
        r#"<article data-id="{id}">
  <h2>{name}</h2>
  <dl><div><dt>الرقم المرجعي</dt><dd><bdi>{reference}</bdi></dd></div><div><dt>الجهة</dt><dd>{agency}</dd></div><div><dt>آخر موعد</dt><dd><time datetime="{closes}">{closes}</time></dd></div></dl>
  <button type="button">تحميل جدول الكميات والمرفقات</button>
  <progress max="1" value="0" hidden></progress>
  <p class="state" role="status"></p>
</article>
"#
    )
}

/// Escapes a text for HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
