"""rtsp_server.py PORT PIPELINE: GStreamer's RTSP server as a camera at rtsp://127.0.0.1:PORT/one, which sends
what the pipeline makes. Port 0 takes a free one; the port is printed when it listens. 77: it cannot be had here."""
import sys

try:
    import gi
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer
except (ImportError, ValueError) as error:
    print(f"no RTSP server of GStreamer: {error}", file=sys.stderr)
    sys.exit(77)


# What the pipelines of the tests are made of.
NEEDED = ("videotestsrc", "jpegenc", "rtpjpegpay", "qtdemux", "h264parse", "rtph264pay")


def main():
    Gst.init(None)
    missing = [name for name in NEEDED if Gst.ElementFactory.find(name) is None]
    if missing:
        print(f"GStreamer has no {', '.join(missing)}", file=sys.stderr)
        return 77
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {sys.argv[2]} )")
    server.get_mount_points().add_factory("/one", factory)
    if server.attach(None) == 0:
        print(f"port {sys.argv[1]} is taken", file=sys.stderr)
        return 1
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
