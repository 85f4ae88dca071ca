//! actix: it uses the socket or $PORT, and its own runtime finishes its requests at SIGTERM.

use actix_web::{App, HttpResponse, HttpServer, web};
use servers::{halves, listener};

const VERSION: &str = "1";

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/version", web::get().to(async || VERSION))
        .route("/hold", web::get().to(async || HttpResponse::Ok().streaming(halves())));
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    HttpServer::new(|| App::new().configure(routes)).listen(listener()?)?.run().await
}
