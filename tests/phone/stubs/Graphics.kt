package android.graphics

import java.awt.image.BufferedImage
import java.io.InputStream
import javax.imageio.ImageIO

class Rect

class Bitmap(private val image: BufferedImage) {
    val width: Int get() = image.width
    val height: Int get() = image.height

    fun getPixels(pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {
        image.getRGB(x, y, width, height, pixels, offset, stride)
    }
}

object BitmapFactory {
    class Options {
        var inScaled = true
    }

    fun decodeStream(stream: InputStream, outPadding: Rect?, options: Options?): Bitmap? = Bitmap(ImageIO.read(stream))
}
