//! docs/brokers.md shows the lab's table as the lab has it. `UPDATE_DOCS=1` writes it there.

use std::path::Path;

use sandbox::lab::{Product, table};

#[test]
fn the_table_of_the_page_is_the_lab_s() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/brokers.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(table::BEGIN).expect("a line where the table begins");
    let (shown, after) = rest.split_once(table::END).expect("a line where the table ends");
    let made = table::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, [before, table::BEGIN, &made, table::END, after].concat()).unwrap();
        return;
    }
    assert_eq!(
        shown, made,
        "docs/brokers.md is out of date: UPDATE_DOCS=1 cargo test -p sandbox --test promises brokers::docs"
    );
}

#[test]
fn the_page_has_a_section_for_each_broker() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/brokers.md")).unwrap();
    for product in Product::ALL {
        let family = product.title().split(' ').next().unwrap();
        assert!(page.contains(&format!("\n## {family}")), "no section about {family}");
    }
}
